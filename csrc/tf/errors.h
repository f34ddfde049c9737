// SPDX-License-Identifier: Apache-2.0
// Errors of the ops; the message says what was expected and what came.
#ifndef TFGEO_TF_ERRORS_H_
#define TFGEO_TF_ERRORS_H_

#include "../kernels/abi.h"
#include "../kernels/isa.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tfgeo {

// Strings and numbers, put together.
template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// What a call of the C interface gave, with its sentence.
inline absl::Status ToStatus(TfgeoCode code, const char* sentence) {
  switch (code) {
    case TFGEO_OK:
      return absl::OkStatus();
    case TFGEO_INVALID_ARGUMENT:
      return absl::InvalidArgumentError(sentence);
    case TFGEO_NO_GPU_CODE:
      return absl::FailedPreconditionError(sentence);
    case TFGEO_OUT_OF_MEMORY:
      return absl::ResourceExhaustedError(sentence);
    default:
      return absl::InternalError(sentence);
  }
}

// TFGEO_ISA must name an instruction set of this processor.
inline absl::Status CheckIsa() {
  char text[256] = "";
  return tfgeo_cpu_check_isa({text, sizeof(text)}) == TFGEO_OK ? absl::OkStatus() : Invalid(text);
}

}  // namespace tfgeo

#endif  // TFGEO_TF_ERRORS_H_
