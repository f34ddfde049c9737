// SPDX-License-Identifier: Apache-2.0
// A fibre is entered the first time by setcontext; from then on _setjmp and _longjmp change stacks, which costs no system
// call and exists on every processor.

// Its check that jumps only go up the stack does not know fibres.
#undef _FORTIFY_SOURCE

#include "fibres.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tfgeo::shim {
namespace {

constexpr size_t kStack = 64 << 10;
constexpr size_t kMarks = 64;  // words at the end of a stack that no fibre should reach
constexpr uint64_t kMark = 0x7466676566696272;

struct Fibre {
  char* stack = nullptr;  // lowest address
  bool entered = false;   // it waits in YieldFibre, at `at`
  jmp_buf at;
};

std::vector<Fibre*> fibres;
void (*fibre_body)(int) = nullptr;
int running = 0;
bool overrun = false;
jmp_buf resumer;

// A page that cannot be touched lies below each stack.
char* NewStack() {
  const size_t page = std::max<size_t>(sysconf(_SC_PAGESIZE), 4096);
  void* memory = mmap(nullptr, kStack + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  mprotect(memory, page, PROT_NONE);
  char* stack = static_cast<char*>(memory) + page;
  std::fill_n(reinterpret_cast<uint64_t*>(stack), kMarks, kMark);
  return stack;
}

// A fibre that has ended waits for its next body.
void Enter() {
  for (;;) {
    fibre_body(running);
    auto* marks = reinterpret_cast<uint64_t*>(fibres[running]->stack);
    if (std::any_of(marks, marks + kMarks, [](uint64_t mark) { return mark != kMark; })) {
      overrun = true;
      std::fill_n(marks, kMarks, kMark);
    }
    YieldFibre();
  }
}

void EnterFirst(Fibre* fibre) {
  static ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = fibre->stack;
  context.uc_stack.ss_size = kStack;
  context.uc_link = nullptr;
  makecontext(&context, Enter, 0);
  setcontext(&context);
}

}  // namespace

bool PrepareFibres(int count, void (*body)(int fibre)) {
  fibre_body = body;
  overrun = false;
  while (static_cast<int>(fibres.size()) < count) {
    auto* fibre = new Fibre;
    fibre->stack = NewStack();
    if (fibre->stack == nullptr) {
      delete fibre;
      return false;
    }
    fibres.push_back(fibre);
  }
  return true;
}

bool ResumeFibre(int fibre) {
  running = fibre;
  Fibre* next = fibres[fibre];
  if (_setjmp(resumer) == 0) {
    if (next->entered) _longjmp(next->at, 1);
    next->entered = true;
    EnterFirst(next);
  }
  return !overrun;
}

void YieldFibre() {
  if (_setjmp(fibres[running]->at) == 0) _longjmp(resumer, 1);
}

void ForgetFibres() {
  for (Fibre* fibre : fibres) fibre->entered = false;
}

void LeaveFibre() {
  fibres[running]->entered = false;
  _longjmp(resumer, 1);
}

}  // namespace tfgeo::shim
