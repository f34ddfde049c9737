// SPDX-License-Identifier: Apache-2.0
// Thin helpers over the Node-API: status checks, argument reading, and one wrapper that turns C++
// exceptions into JavaScript ones, so that every exported function reads as straight code.
#ifndef TFGEO_NODE_NAPI_UTIL_H_
#define TFGEO_NODE_NAPI_UTIL_H_

#include <node_api.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace tfgeo {

/** A failure to report to JavaScript; `code` becomes the `code` property of the thrown Error. */
class Failure : public std::runtime_error {
 public:
  explicit Failure(const std::string& message, std::string code = "TFGEO_ARGUMENT")
      : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

/** Thrown when a Node-API call failed because a JavaScript exception is already on its way. */
struct PendingException {};

inline void Check(napi_env env, napi_status status) {
  if (status == napi_ok) return;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) throw PendingException{};
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  throw Failure(info && info->error_message ? info->error_message : "Node-API call failed", "TFGEO_NAPI");
}

/** Wraps `F(env, info)`: whatever it throws becomes a JavaScript Error. */
template <napi_value (*F)(napi_env, napi_callback_info)>
napi_value Guard(napi_env env, napi_callback_info info) {
  try {
    return F(env, info);
  } catch (const PendingException&) {
  } catch (const Failure& failure) {
    napi_throw_error(env, failure.code().c_str(), failure.what());
  } catch (const std::exception& error) {
    napi_throw_error(env, "TFGEO_INTERNAL", error.what());
  }
  return nullptr;
}

template <size_t N>
std::array<napi_value, N> Arguments(napi_env env, napi_callback_info info) {
  std::array<napi_value, N> values{};
  size_t count = N;
  Check(env, napi_get_cb_info(env, info, &count, values.data(), nullptr, nullptr));
  return values;
}

inline napi_valuetype TypeOf(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  if (value != nullptr) Check(env, napi_typeof(env, value, &type));
  return type;
}

inline bool IsArray(napi_env env, napi_value value) {
  bool is = false;
  Check(env, napi_is_array(env, value, &is));
  return is;
}

inline int64_t ToInt64(napi_env env, napi_value value, const char* what) {
  if (TypeOf(env, value) == napi_bigint) {
    int64_t result = 0;
    bool lossless = false;
    Check(env, napi_get_value_bigint_int64(env, value, &result, &lossless));
    return result;
  }
  int64_t result = 0;
  if (napi_get_value_int64(env, value, &result) != napi_ok) {
    throw Failure(std::string(what) + " must be a number");
  }
  return result;
}

inline double ToDouble(napi_env env, napi_value value, const char* what) {
  double result = 0;
  if (napi_get_value_double(env, value, &result) != napi_ok) {
    throw Failure(std::string(what) + " must be a number");
  }
  return result;
}

inline bool ToBool(napi_env env, napi_value value, const char* what) {
  bool result = false;
  if (napi_get_value_bool(env, value, &result) != napi_ok) {
    throw Failure(std::string(what) + " must be a boolean");
  }
  return result;
}

inline std::string ToString(napi_env env, napi_value value, const char* what) {
  // Names of ops and attributes fit this; only longer strings are read twice.
  char small[128];
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, small, sizeof small, &length) != napi_ok) {
    throw Failure(std::string(what) + " must be a string");
  }
  if (length + 4 < sizeof small) return std::string(small, length);
  Check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string result(length, '\0');
  Check(env, napi_get_value_string_utf8(env, value, &result[0], length + 1, &length));
  return result;
}

inline uint32_t ArrayLength(napi_env env, napi_value value, const char* what) {
  uint32_t length = 0;
  if (value == nullptr || napi_get_array_length(env, value, &length) != napi_ok) {
    throw Failure(std::string(what) + " must be an array");
  }
  return length;
}

inline napi_value Element(napi_env env, napi_value array, uint32_t index) {
  napi_value value = nullptr;
  Check(env, napi_get_element(env, array, index, &value));
  return value;
}

inline napi_value Number(napi_env env, double number) {
  napi_value value = nullptr;
  Check(env, napi_create_double(env, number, &value));
  return value;
}

inline napi_value String(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  Check(env, napi_create_string_utf8(env, text.data(), text.size(), &value));
  return value;
}

inline napi_value Undefined(napi_env env) {
  napi_value value = nullptr;
  Check(env, napi_get_undefined(env, &value));
  return value;
}

}  // namespace tfgeo

#endif  // TFGEO_NODE_NAPI_UTIL_H_
