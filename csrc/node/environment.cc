// SPDX-License-Identifier: Apache-2.0
#include "environment.h"

namespace tfgeo {

Environment& EnvironmentOf(napi_env env) {
  void* data = nullptr;
  Check(env, napi_get_instance_data(env, &data));
  return *static_cast<Environment*>(data);
}

void SetUpEnvironment(napi_env env) {
  static const char* const kNames[] = {"name", "type", "value", "id", "shape", "dtype"};
  Environment* environment = new Environment();
  Check(env, napi_set_instance_data(
                 env, environment, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr));
  napi_value keys = nullptr;
  // References to plain strings need a newer Node-API than 20 offers by default; an array that holds them does not.
  Check(env, napi_create_array_with_length(env, 6, &keys));
  for (uint32_t i = 0; i < 6; i++) Check(env, napi_set_element(env, keys, i, String(env, kNames[i])));
  Check(env, napi_create_reference(env, keys, 1, &environment->keys));
}

Keys::Keys(napi_env env, const Environment& environment) : env_(env) {
  Check(env, napi_get_reference_value(env, environment.keys, &array_));
}

}  // namespace tfgeo
