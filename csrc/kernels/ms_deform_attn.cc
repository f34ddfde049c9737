// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "fail.h"
#include "half.h"
#include "isa.h"
#include "ms_deform_attn_check.h"
#include "ms_deform_attn_plan.h"
#include "parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define TFGEO_ISA_BODY "ms_deform_attn_body.h"
#include "foreach_isa.h"

namespace tfgeo::deform {
namespace {

// ---- how a call is split ----

// The unit of work is (batch item, head, part of the queries). With many samples per pixel a unit works on its own copies
// of the head's maps; otherwise on the tensors themselves.
struct Split {
  bool packed;
  int64_t dim;    // channels of a packed pixel
  int64_t pixel;  // elements from one pixel to the next
  int64_t heads;  // N * M
  int64_t parts;

  int64_t Units() const { return heads * parts; }
};

// Corners of samples that meet in a pixel, on average.
int64_t Visits(const TfgeoMsDeformAttnShape& s) { return s.queries * s.levels * s.points * 4 / s.length; }

// Whole vectors, and no more than twice the channels.
int64_t PackedDim(const TfgeoMsDeformAttnShape& s) {
  int64_t dim = 1;
  while (dim < s.dim && dim < 16) dim *= 2;
  dim = (s.dim + dim - 1) / dim * dim;
  return s.length * dim < int64_t{1} << 31 ? dim : s.dim;
}

// The least number of parts that keeps the threads even.
int64_t Even(int64_t units, int64_t threads, int64_t most) {
  int64_t parts = 1;
  while (parts < most && units * parts % threads != 0 && units * parts < 4 * threads) ++parts;
  return parts;
}

// Copies pay from `visits` on.
Split ChooseSplit(const TfgeoMsDeformAttnShape& s, int64_t visits) {
  const int64_t dim = PackedDim(s);
  const bool packed = Visits(s) >= visits && s.length * dim <= int64_t{1} << 23;
  return {packed, dim, packed ? dim : s.heads * s.dim, s.batch * s.heads, 1};
}

// Parts that are worth a copy of the maps each.
int64_t MostParts(const TfgeoMsDeformAttnShape& s) { return std::clamp<int64_t>(Visits(s) / 8, 1, s.queries); }

// ---- memory ----

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// Pieces of memory for the units at work, handed on from one to the next.
template <typename C>
class Pool {
 public:
  using Piece = std::unique_ptr<C[], Free>;

  explicit Pool(int64_t size) : size_(size) {}

  // Zeros, or what the last unit left.
  Piece Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        Piece piece = std::move(free_.back());
        free_.pop_back();
        return piece;
      }
    }
    return New();
  }

  void Give(Piece piece) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(piece));
  }

 private:
  // Samples jump about in it: with small pages their addresses alone would fill a cache.
  Piece New() const {
    constexpr size_t kHugePage = size_t{1} << 21;
    const size_t bytes = static_cast<size_t>(size_) * sizeof(C), align = bytes < kHugePage / 2 ? 64 : kHugePage;
    const size_t whole = (bytes + align - 1) / align * align;
    void* memory = std::aligned_alloc(align, whole);
    if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (align == kHugePage) madvise(memory, whole, MADV_HUGEPAGE);  // where that is refused it is only slower
#endif
    std::memset(memory, 0, whole);
    return Piece(static_cast<C*>(memory));
  }

  int64_t size_;
  std::mutex mutex_;
  std::vector<Piece> free_;
};

// A unit's rows and where they come from.
struct Unit {
  int64_t item, head, part;
  Rows rows;

  Unit(const TfgeoMsDeformAttnShape& s, const Split& split, int64_t unit)
      : item(unit / split.parts / s.heads), head(unit / split.parts % s.heads), part(unit % split.parts) {
    const int64_t begin = part * s.queries / split.parts, end = (part + 1) * s.queries / split.parts;
    rows = {(item * s.queries + begin) * s.heads + head, s.heads, end - begin};
  }
};

// ---- forward ----

template <typename C>
void ForwardPacked(const Call<C>& call, const Split& split, const void* value, void* output,
                   const Parallel& parallel) {
  const auto pack = TFGEO_DISPATCH(Pack<C>);
  const auto forward = TFGEO_DISPATCH(Forward<C, C>);
  Pool<C> pool(call.shape.length * split.dim);
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, split.dim, split.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(call.shape, split, i);
      auto memory = pool.Take();
      const Maps<C> maps = {memory.get(), split.dim, 0, split.dim};
      pack(call, value, unit.item, unit.head, maps);
      forward(call, {maps.pixels, maps.pixel, 0, maps.dim}, unit.rows, block, output);
      pool.Give(std::move(memory));
    }
  });
}

// S is the type of `value`.
template <typename C, typename S>
void ForwardInPlace(const Call<C>& call, const void* value, void* output, const Parallel& parallel) {
  const auto forward = TFGEO_DISPATCH(Forward<C, S>);
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t per_item = s.queries * s.heads, pixel = s.heads * s.dim;
  // A block is worth at least some ten microseconds.
  const int64_t grain = 1 + 65536 / (call.per_head * (8 + s.dim / 4));
  parallel.run(s.batch * per_item, BlockSize(parallel, s.batch * per_item, grain), [&](int64_t begin, int64_t end) {
    const Block<C> block(call, pixel, s.dim);
    while (begin < end) {
      const int64_t item = begin / per_item, stop = std::min(end, (item + 1) * per_item);
      const S* maps = static_cast<const S*>(value) + item * s.length * pixel;
      forward(call, {maps, pixel, s.dim, s.dim}, {begin, 1, stop - begin}, block, output);
      begin = stop;
    }
  });
}

template <typename C>
void RunForward(const Call<C>& call, const void* value, void* output, const Parallel& parallel) {
  Split split = ChooseSplit(call.shape, 8);
  split.parts = Even(split.heads, parallel.threads, MostParts(call.shape));
  if (split.packed && split.Units() >= parallel.threads) {
    return ForwardPacked<C>(call, split, value, output, parallel);
  }
  if constexpr (sizeof(C) == sizeof(float)) {
    if (call.type == TFGEO_BFLOAT16) return ForwardInPlace<C, Bfloat>(call, value, output, parallel);
    if (call.type == TFGEO_FLOAT16) return ForwardInPlace<C, Half>(call, value, output, parallel);
  }
  ForwardInPlace<C, C>(call, value, output, parallel);
}

// ---- backward ----

// Every unit sums the value's gradient into a copy of its own; the parts of a head are added in order.
template <typename C>
void BackwardPacked(const Call<C>& call, const Split& split, const void* grad_output, const void* value,
                    const TfgeoMsDeformAttnGrads& grads, const Parallel& parallel) {
  const auto pack = TFGEO_DISPATCH(Pack<C>);
  const auto unpack = TFGEO_DISPATCH(Unpack<C>);
  const auto backward = TFGEO_DISPATCH(Backward<C>);
  const int64_t size = call.shape.length * split.dim;
  Pool<C> values(size), sums(size);
  std::vector<typename Pool<C>::Piece> kept(split.parts > 1 ? split.Units() : 0);
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, split.dim, split.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(call.shape, split, i);
      auto memory = values.Take();
      const Maps<C> maps = {memory.get(), split.dim, 0, split.dim};
      pack(call, value, unit.item, unit.head, maps);
      auto sum = sums.Take();
      std::memset(sum.get(), 0, size * sizeof(C));
      backward(call, grad_output, {maps.pixels, maps.pixel, 0, maps.dim}, sum.get(), unit.rows, block, grads);
      values.Give(std::move(memory));
      if (split.parts > 1) {
        kept[i] = std::move(sum);
      } else {
        C* const one = sum.get();
        if (grads.value != nullptr) {
          unpack(call, &one, 1, split.dim, unit.item, unit.head, 0, call.shape.length, grads.value);
        }
        sums.Give(std::move(sum));
      }
    }
  });
  if (split.parts == 1 || grads.value == nullptr) return;
  const int64_t pixels = split.heads * call.shape.length;
  parallel.run(pixels, BlockSize(parallel, pixels, 1 + 16384 / split.dim), [&](int64_t begin, int64_t end) {
    std::vector<C*> parts(split.parts);
    while (begin < end) {
      const int64_t head = begin / call.shape.length, first = head * call.shape.length;
      const int64_t stop = std::min(end, first + call.shape.length);
      for (int64_t k = 0; k < split.parts; ++k) parts[k] = kept[head * split.parts + k].get();
      unpack(call, parts.data(), split.parts, split.dim, head / call.shape.heads, head % call.shape.heads,
             begin - first, stop - first, grads.value);
      begin = stop;
    }
  });
}

// Heads own their part of grad_value, so no two units write to the same place.
template <typename C>
void BackwardInPlace(const Call<C>& call, const Split& split, const void* grad_output, const void* value,
                     const TfgeoMsDeformAttnGrads& grads, const Parallel& parallel) {
  const auto backward = TFGEO_DISPATCH(Backward<C>);
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t pixel = s.heads * s.dim, item = s.length * pixel;
  C* const grad_value = static_cast<C*>(grads.value);
  if (grad_value != nullptr) {
    parallel.run(s.batch * item, BlockSize(parallel, s.batch * item, 65536), [&](int64_t begin, int64_t end) {
      std::memset(grad_value + begin, 0, (end - begin) * sizeof(C));
    });
  }
  parallel.run(split.Units(), 1, [&](int64_t begin, int64_t end) {
    const Block<C> block(call, pixel, s.dim);
    for (int64_t i = begin; i < end; ++i) {
      const Unit unit(s, split, i);
      const int64_t first = unit.item * item;
      backward(call, grad_output, {static_cast<const C*>(value) + first, pixel, s.dim, s.dim},
               grad_value == nullptr ? nullptr : grad_value + first, unit.rows, block, grads);
    }
  });
}

// The reference of a query serves all its heads: each has written its share, [N, Q, M, L, R].
template <typename C>
void AddShares(const Call<C>& call, const std::vector<C>& shares, C* reference, const Parallel& parallel) {
  const TfgeoMsDeformAttnShape& s = call.shape;
  const int64_t queries = s.batch * s.queries, size = s.levels * s.reference_size;
  parallel.run(queries, BlockSize(parallel, queries, 1 + 16384 / (s.heads * size)), [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) {
      const C* share = shares.data() + q * s.heads * size;
      std::copy(share, share + size, reference + q * size);
      for (int64_t i = size; i < s.heads * size; ++i) reference[q * size + i % size] += share[i];
    }
  });
}

template <typename C>
void RunBackward(const Call<C>& call, const void* grad_output, const void* value, TfgeoMsDeformAttnGrads grads,
                 const Parallel& parallel) {
  constexpr int64_t kKept = int64_t{1} << 26;  // elements in the parts' sums
  const TfgeoMsDeformAttnShape& s = call.shape;
  Split split = ChooseSplit(s, 4);
  // Sums of 16-bit numbers need copies in any case.
  if (call.type == TFGEO_BFLOAT16 || call.type == TFGEO_FLOAT16) split.packed = true;
  std::vector<C> shares;
  C* const reference = call.reference == nullptr ? nullptr : static_cast<C*>(grads.reference);
  if (reference != nullptr) shares.resize(s.batch * s.queries * s.heads * s.levels * s.reference_size);
  grads.reference = reference == nullptr ? nullptr : shares.data();
  if (split.packed) {
    // With no more threads than heads the sums must not depend on their number.
    if (parallel.threads > split.heads) {
      const int64_t room = std::max<int64_t>(1, kKept / (split.heads * s.length * split.dim));
      split.parts = Even(split.heads, parallel.threads, std::min(room, MostParts(s)));
    }
    BackwardPacked<C>(call, split, grad_output, value, grads, parallel);
  } else {
    BackwardInPlace<C>(call, split, grad_output, value, grads, parallel);
  }
  if (reference != nullptr) AddShares(call, shares, reference, parallel);
}

}  // namespace
}  // namespace tfgeo::deform

// ---- C interface ----

TfgeoCode tfgeo_ms_deform_attn(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                               const TfgeoMsDeformAttnSamples* samples, void* output, const TfgeoThreads* threads,
                               TfgeoError error) {
  using namespace tfgeo::deform;
  TfgeoCode code = CheckForward(type, shape, value, samples, output, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  try {
    if (type == TFGEO_FLOAT64) {
      RunForward<double>({type, *shape, *samples}, value, output, tfgeo::FromC(threads));
    } else {
      RunForward<float>({type, *shape, *samples}, value, output, tfgeo::FromC(threads));
    }
  } catch (const std::bad_alloc&) {
    return tfgeo::Fail(error, TFGEO_OUT_OF_MEMORY, "[msDeformAttn] there is not enough memory");
  }
  return TFGEO_OK;
}

TfgeoCode tfgeo_ms_deform_attn_grad(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                                    const void* value, const TfgeoMsDeformAttnSamples* samples,
                                    const TfgeoMsDeformAttnGrads* grads, const TfgeoThreads* threads,
                                    TfgeoError error) {
  using namespace tfgeo::deform;
  TfgeoCode code = CheckBackward(type, shape, grad_output, value, samples, grads, error);
  if (code == TFGEO_OK) code = tfgeo_cpu_check_isa(error);
  if (code != TFGEO_OK) return code;
  try {
    if (type == TFGEO_FLOAT64) {
      RunBackward<double>({type, *shape, *samples}, grad_output, value, *grads, tfgeo::FromC(threads));
    } else {
      RunBackward<float>({type, *shape, *samples}, grad_output, value, *grads, tfgeo::FromC(threads));
    }
  } catch (const std::bad_alloc&) {
    return tfgeo::Fail(error, TFGEO_OUT_OF_MEMORY, "[msDeformAttn] there is not enough memory");
  }
  return TFGEO_OK;
}
