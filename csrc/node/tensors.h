// SPDX-License-Identifier: Apache-2.0
// Tensors between JavaScript and TensorFlow: the table of handles, values in, values out.
#ifndef TFGEO_NODE_TENSORS_H_
#define TFGEO_NODE_TENSORS_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "napi_util.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/eager/c_api.h"

namespace tfgeo {

/** What a tensor of a function that is being traced stands for. */
struct Symbol {
  /** Which trace it belongs to. */
  int64_t trace = -1;
  TF_Output output = {nullptr, 0};
  /** Number of the variable, whose node is made when it is first used; -1 for all others. */
  int64_t variable = -1;
};

/** Tensors of one JavaScript environment by id. Ids are never reused, so a stale id is always noticed. */
class TensorTable {
 public:
  ~TensorTable();
  int64_t Add(TFE_TensorHandle* handle);
  int64_t Add(const Symbol& symbol);
  /** Throws if there is no such tensor, or if it has no value because it was made by a trace. */
  TFE_TensorHandle* Get(int64_t id) const;
  /** The symbol `id` stands for, or null if the tensor has a value. */
  Symbol* FindSymbol(int64_t id);
  void Remove(int64_t id);
  /** Tensors with values. */
  size_t size() const { return handles_.size(); }

 private:
  int64_t next_id_ = 0;
  std::unordered_map<int64_t, TFE_TensorHandle*> handles_;
  std::unordered_map<int64_t, Symbol> symbols_;
};

/** Makes a tensor of `dtype` and `shape` from a typed array, or from an array of Uint8Array for strings. */
TFE_TensorHandle* HandleFromValues(napi_env env, const std::vector<int64_t>& shape, TF_DataType dtype,
                                   napi_value values);

/** The same as a TF_Tensor, which the caller deletes. */
TF_Tensor* TensorFromValues(napi_env env, const std::vector<int64_t>& shape, TF_DataType dtype, napi_value values);

/** The values of a tensor as a typed array, or as an array of Uint8Array for strings and resources. */
napi_value ValuesOfHandle(napi_env env, TFE_TensorHandle* handle);
napi_value ValuesOfTensor(napi_env env, TF_Tensor* tensor);

/** Reads a JavaScript array of non-negative integers. */
std::vector<int64_t> ToShape(napi_env env, napi_value value);

/** Typed-array type that carries values of `dtype`; throws for types JavaScript can't hold. */
napi_typedarray_type ArrayTypeOf(TF_DataType dtype);

/** allocate(bytes): an ArrayBuffer whose contents become tensors without a copy. */
napi_value Allocate(napi_env env, napi_callback_info info);

}  // namespace tfgeo

#endif  // TFGEO_NODE_TENSORS_H_
