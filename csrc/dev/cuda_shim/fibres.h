// SPDX-License-Identifier: Apache-2.0
// Fibres: functions with stacks of their own that take turns on the calling thread.
#ifndef TFGEO_CUDA_SHIM_FIBRES_H_
#define TFGEO_CUDA_SHIM_FIBRES_H_

namespace tfgeo::shim {

// Makes fibres 0 .. count - 1 ready to run `body(i)` from its beginning. Stacks are kept from one call to the next.
// False where there is no memory for them.
bool PrepareFibres(int count, void (*body)(int fibre));

// Goes on with a fibre until it waits or ends; false where one has ended that had overrun its stack.
bool ResumeFibre(int fibre);

// In a fibre: back to who resumed it.
void YieldFibre();

// In a fibre: back to who resumed it, never to return.
[[noreturn]] void LeaveFibre();

// All fibres forget where they are: they begin anew when they are resumed.
void ForgetFibres();

}  // namespace tfgeo::shim

#endif  // TFGEO_CUDA_SHIM_FIBRES_H_
