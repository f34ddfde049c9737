// SPDX-License-Identifier: Apache-2.0
// Argument errors of the ops; the message says what was expected and what came.
#ifndef TFGEO_TF_ERRORS_H_
#define TFGEO_TF_ERRORS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tfgeo {

// Strings and numbers, put together.
template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

}  // namespace tfgeo

#endif  // TFGEO_TF_ERRORS_H_
