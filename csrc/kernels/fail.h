// SPDX-License-Identifier: Apache-2.0
// How the code behind the C interfaces reports an error. Needs no C++ library.
#ifndef TFGEO_KERNELS_FAIL_H_
#define TFGEO_KERNELS_FAIL_H_

#include <stdarg.h>
#include <stdio.h>

#include "abi.h"

namespace tfgeo {

// Puts the sentence, printf's way, where the caller wants it and gives `code`.
__attribute__((format(printf, 3, 4))) inline TfgeoCode Fail(TfgeoError error, TfgeoCode code, const char* format,
                                                            ...) {
  if (error.text != nullptr && error.size > 0) {
    va_list values;
    va_start(values, format);
    vsnprintf(error.text, error.size, format, values);
    va_end(values);
  }
  return code;
}

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_FAIL_H_
