// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "blocks.h"
#include "status.h"
#include "tensorflow/c/tf_tstring.h"

namespace tfgeo {
namespace {

/** Below this many bytes a copy costs less than the bookkeeping of sharing. */
constexpr size_t kShareAbove = 64 * 1024;

/** More elements than any machine holds; far from where products of dimensions overflow. */
constexpr int64_t kMostElements = int64_t{1} << 48;

struct TensorDeleter {
  void operator()(TF_Tensor* tensor) const { TF_DeleteTensor(tensor); }
};
using TensorPtr = std::unique_ptr<TF_Tensor, TensorDeleter>;

struct TypedArray {
  napi_typedarray_type type;
  size_t length;
  void* data;
  size_t bytes;
};

size_t ElementBytes(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      return 8;
    default:
      throw Failure("values are a kind of typed array that no tensor can hold");
  }
}

int64_t ElementCount(const std::vector<int64_t>& shape) {
  // TensorFlow aborts the process on sizes that overflow.
  int64_t count = 1;
  for (int64_t dim : shape) {
    if (dim > kMostElements || (dim > 0 && count > kMostElements / dim)) throw Failure("a shape has too many elements");
    count *= dim;
  }
  return count;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

/** Number `index` of `array`, whatever its element type. */
double NumberAt(const TypedArray& array, size_t index) {
  switch (array.type) {
    case napi_int8_array:
      return static_cast<int8_t*>(array.data)[index];
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return static_cast<uint8_t*>(array.data)[index];
    case napi_int16_array:
      return static_cast<int16_t*>(array.data)[index];
    case napi_uint16_array:
      return static_cast<uint16_t*>(array.data)[index];
    case napi_int32_array:
      return static_cast<int32_t*>(array.data)[index];
    case napi_uint32_array:
      return static_cast<uint32_t*>(array.data)[index];
    case napi_float32_array:
      return static_cast<float*>(array.data)[index];
    case napi_float64_array:
      return static_cast<double*>(array.data)[index];
    case napi_bigint64_array:
      return static_cast<double>(static_cast<int64_t*>(array.data)[index]);
    default:
      return static_cast<double>(static_cast<uint64_t*>(array.data)[index]);
  }
}

/** `number` as a T. For integers, NaN becomes 0 and what is out of range the nearest limit: C++ leaves both undefined. */
template <typename T>
T NumberAs(double number) {
  if (!std::numeric_limits<T>::is_integer) return static_cast<T>(number);
  if (number != number) return T{0};
  if (number <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (number >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(number);
}

template <typename T>
void ConvertTo(const TypedArray& from, void* to) {
  T* out = static_cast<T*>(to);
  for (size_t i = 0; i < from.length; i++) out[i] = NumberAs<T>(NumberAt(from, i));
}

/** Fills `out` (of `dtype`) from values of another element type. */
void Convert(const TypedArray& from, TF_DataType dtype, void* out) {
  switch (dtype) {
    case TF_FLOAT:
      return ConvertTo<float>(from, out);
    case TF_DOUBLE:
      return ConvertTo<double>(from, out);
    case TF_INT32:
      return ConvertTo<int32_t>(from, out);
    case TF_INT64:
      return ConvertTo<int64_t>(from, out);
    case TF_UINT8:
      return ConvertTo<uint8_t>(from, out);
    case TF_BOOL:
      for (size_t i = 0; i < from.length; i++) static_cast<uint8_t*>(out)[i] = NumberAt(from, i) != 0;
      return;
    default:
      throw Failure("values of a " + std::to_string(from.length) +
                    "-element typed array don't fit TensorFlow dtype " + std::to_string(dtype));
  }
}

TypedArray ReadTypedArray(napi_env env, napi_value values) {
  bool is_typed = false;
  Check(env, napi_is_typedarray(env, values, &is_typed));
  if (!is_typed) throw Failure("values must be a typed array");
  TypedArray array{};
  Check(env, napi_get_typedarray_info(env, values, &array.type, &array.length, &array.data, nullptr, nullptr));
  array.bytes = array.length * ElementBytes(array.type);
  return array;
}

/** TF_INT64 from an Int32Array of twice the length: low and high words, as tfjs writes them. */
bool HasElementsOf(const TypedArray& array, TF_DataType dtype, int64_t count) {
  if (dtype == TF_INT64 && array.type == napi_int32_array) return static_cast<int64_t>(array.length) == 2 * count;
  if (dtype == TF_COMPLEX64) return array.type == napi_float32_array && static_cast<int64_t>(array.length) == 2 * count;
  const napi_typedarray_type wanted = ArrayTypeOf(dtype);
  if (wanted == napi_uint8_array && array.type == napi_uint8_clamped_array) return true;
  return array.type == wanted;
}

void ReleaseBorrowed(void*, size_t, void* block) { ReleaseBlock(static_cast<Block*>(block)); }

TensorPtr TensorFromNumbers(napi_env env, const std::vector<int64_t>& shape, TF_DataType dtype, napi_value values) {
  const TypedArray array = ReadTypedArray(env, values);
  const int64_t count = ElementCount(shape);
  const bool same = HasElementsOf(array, dtype, count);
  const int64_t per_element = same && count > 0 ? static_cast<int64_t>(array.length) / count : 1;
  if (static_cast<int64_t>(array.length) != count * per_element || (per_element > 2)) {
    throw Failure("shape " + ShapeText(shape) + " needs " + std::to_string(count) + " values, but there are " +
                  std::to_string(array.length));
  }
  const int rank = static_cast<int>(shape.size());
  if (same && array.bytes >= kShareAbove && reinterpret_cast<uintptr_t>(array.data) % kAlignment == 0) {
    if (Block* block = HoldBlock(array.data, array.bytes)) {
      return TensorPtr(TF_NewTensor(dtype, shape.data(), rank, array.data, array.bytes, ReleaseBorrowed, block));
    }
  }
  const size_t bytes = same ? array.bytes : TF_DataTypeSize(dtype) * array.length;
  TensorPtr tensor(TF_AllocateTensor(dtype, shape.data(), rank, bytes));
  if (!tensor) throw Failure("no memory for a tensor of shape " + ShapeText(shape), "TFGEO_MEMORY");
  if (same) {
    if (bytes > 0) memcpy(TF_TensorData(tensor.get()), array.data, bytes);
  } else {
    Convert(array, dtype, TF_TensorData(tensor.get()));
  }
  return tensor;
}

/** TensorFlow runs the destructors of a string tensor's elements, so all of them are set up before any may fail. */
TensorPtr TensorFromStrings(napi_env env, const std::vector<int64_t>& shape, napi_value values) {
  const int64_t count = ElementCount(shape);
  if (ArrayLength(env, values, "values of a string tensor") != count) {
    throw Failure("shape " + ShapeText(shape) + " needs " + std::to_string(count) + " strings, but there are " +
                  std::to_string(ArrayLength(env, values, "values")));
  }
  TensorPtr tensor(TF_AllocateTensor(TF_STRING, shape.data(), static_cast<int>(shape.size()),
                                     sizeof(TF_TString) * static_cast<size_t>(count)));
  TF_TString* strings = static_cast<TF_TString*>(TF_TensorData(tensor.get()));
  for (int64_t i = 0; i < count; i++) TF_StringInit(&strings[i]);
  for (int64_t i = 0; i < count; i++) {
    const napi_value value = Element(env, values, static_cast<uint32_t>(i));
    if (TypeOf(env, value) == napi_string) {
      const std::string text = ToString(env, value, "value");
      TF_StringCopy(&strings[i], text.data(), text.size());
    } else {
      const TypedArray bytes = ReadTypedArray(env, value);
      TF_StringCopy(&strings[i], static_cast<const char*>(bytes.data), bytes.bytes);
    }
  }
  return tensor;
}

napi_value CopyToArrayBuffer(napi_env env, const void* data, size_t bytes) {
  void* target = nullptr;
  napi_value buffer = nullptr;
  Check(env, napi_create_arraybuffer(env, bytes, &target, &buffer));
  if (bytes > 0) memcpy(target, data, bytes);
  return buffer;
}

void FinalizeBlock(napi_env, void*, void* block) { ReleaseBlock(static_cast<Block*>(block)); }

/** An ArrayBuffer over `block`, or null where the runtime allows no foreign memory. Takes the reference if it succeeds. */
napi_value ExternalArrayBuffer(napi_env env, Block* block, size_t bytes) {
  napi_value buffer = nullptr;
  const napi_status status =
      napi_create_external_arraybuffer(env, BlockData(block), bytes, FinalizeBlock, block, &buffer);
  return status == napi_ok ? buffer : nullptr;
}

napi_value BytesArray(napi_env env, const char* data, size_t bytes) {
  napi_value result = nullptr;
  Check(env, napi_create_typedarray(env, napi_uint8_array, bytes, CopyToArrayBuffer(env, data, bytes), 0, &result));
  return result;
}

napi_value StringsOf(napi_env env, TF_Tensor* tensor) {
  const size_t count = static_cast<size_t>(TF_TensorElementCount(tensor));
  const TF_TString* strings = static_cast<const TF_TString*>(TF_TensorData(tensor));
  napi_value result = nullptr;
  Check(env, napi_create_array_with_length(env, count, &result));
  for (size_t i = 0; i < count; i++) {
    const napi_value bytes = BytesArray(env, TF_StringGetDataPointer(&strings[i]), TF_StringGetSize(&strings[i]));
    Check(env, napi_set_element(env, result, static_cast<uint32_t>(i), bytes));
  }
  return result;
}

}  // namespace

TensorTable::~TensorTable() {
  for (auto& entry : handles_) TFE_DeleteTensorHandle(entry.second);
}

int64_t TensorTable::Add(TFE_TensorHandle* handle) {
  handles_.emplace(next_id_, handle);
  return next_id_++;
}

int64_t TensorTable::Add(const Symbol& symbol) {
  symbols_.emplace(next_id_, symbol);
  return next_id_++;
}

TFE_TensorHandle* TensorTable::Get(int64_t id) const {
  auto found = handles_.find(id);
  if (found != handles_.end()) return found->second;
  if (symbols_.count(id) > 0) throw Failure("a tensor made while a function was traced has no value", "TFGEO_SYMBOLIC");
  throw Failure("no tensor has id " + std::to_string(id) + " (was it disposed?)");
}

Symbol* TensorTable::FindSymbol(int64_t id) {
  auto found = symbols_.find(id);
  return found == symbols_.end() ? nullptr : &found->second;
}

void TensorTable::Remove(int64_t id) {
  if (symbols_.erase(id) > 0) return;
  TFE_DeleteTensorHandle(Get(id));
  handles_.erase(id);
}

napi_typedarray_type ArrayTypeOf(TF_DataType dtype) {
  switch (dtype) {
    case TF_FLOAT:
    case TF_COMPLEX64:
      return napi_float32_array;
    case TF_DOUBLE:
      return napi_float64_array;
    case TF_INT32:
      return napi_int32_array;
    case TF_INT64:
      return napi_bigint64_array;
    case TF_UINT64:
      return napi_biguint64_array;
    case TF_BOOL:
    case TF_UINT8:
      return napi_uint8_array;
    case TF_INT8:
      return napi_int8_array;
    case TF_INT16:
      return napi_int16_array;
    case TF_UINT16:
    case TF_HALF:
    case TF_BFLOAT16:
      return napi_uint16_array;
    case TF_UINT32:
      return napi_uint32_array;
    default:
      throw Failure("TensorFlow dtype " + std::to_string(dtype) + " has no typed array");
  }
}

std::vector<int64_t> ToShape(napi_env env, napi_value value) {
  const uint32_t rank = ArrayLength(env, value, "shape");
  std::vector<int64_t> shape(rank);
  for (uint32_t i = 0; i < rank; i++) {
    const double dim = ToDouble(env, Element(env, value, i), "a dimension of shape");
    if (dim < 0) throw Failure("shape has a negative dimension: " + std::to_string(static_cast<int64_t>(dim)));
    if (dim != std::floor(dim) || dim > kMostElements) throw Failure("shape has a dimension that is no count");
    shape[i] = static_cast<int64_t>(dim);
  }
  return shape;
}

TF_Tensor* TensorFromValues(napi_env env, const std::vector<int64_t>& shape, TF_DataType dtype, napi_value values) {
  TensorPtr tensor =
      dtype == TF_STRING ? TensorFromStrings(env, shape, values) : TensorFromNumbers(env, shape, dtype, values);
  if (!tensor) throw Failure("TensorFlow made no tensor of shape " + ShapeText(shape), "TFGEO_TENSORFLOW");
  return tensor.release();
}

TFE_TensorHandle* HandleFromValues(napi_env env, const std::vector<int64_t>& shape, TF_DataType dtype,
                                   napi_value values) {
  const TensorPtr tensor(TensorFromValues(env, shape, dtype, values));
  Status status;
  TFE_TensorHandle* handle = TFE_NewTensorHandle(tensor.get(), status.get());
  status.ThrowUnlessOk("createTensor");
  return handle;
}

napi_value ValuesOfHandle(napi_env env, TFE_TensorHandle* handle) {
  Status status;
  TensorPtr tensor(TFE_TensorHandleResolve(handle, status.get()));
  status.ThrowUnlessOk("tensorDataSync");
  return ValuesOfTensor(env, tensor.get());
}

napi_value ValuesOfTensor(napi_env env, TF_Tensor* tensor) {
  const TF_DataType dtype = TF_TensorType(tensor);
  if (dtype == TF_STRING) return StringsOf(env, tensor);
  const size_t bytes = TF_TensorByteSize(tensor);
  const char* data = static_cast<const char*>(TF_TensorData(tensor));
  if (dtype == TF_RESOURCE) {
    napi_value list = nullptr;
    Check(env, napi_create_array_with_length(env, 1, &list));
    Check(env, napi_set_element(env, list, 0, BytesArray(env, data, bytes)));
    return list;
  }
  const napi_typedarray_type type = ArrayTypeOf(dtype);
  const napi_value buffer = CopyToArrayBuffer(env, data, bytes);
  napi_value result = nullptr;
  Check(env, napi_create_typedarray(env, type, bytes / ElementBytes(type), buffer, 0, &result));
  return result;
}

napi_value Allocate(napi_env env, napi_callback_info info) {
  auto [size] = Arguments<1>(env, info);
  const int64_t bytes = ToInt64(env, size, "bytes");
  if (bytes < 0) throw Failure("bytes must not be negative");
  Block* block = AllocateBlock(static_cast<size_t>(bytes));
  memset(BlockData(block), 0, static_cast<size_t>(bytes));
  napi_value buffer = ExternalArrayBuffer(env, block, static_cast<size_t>(bytes));
  if (buffer == nullptr) {
    ReleaseBlock(block);
    void* unused = nullptr;
    Check(env, napi_create_arraybuffer(env, static_cast<size_t>(bytes), &unused, &buffer));
  }
  return buffer;
}

}  // namespace tfgeo
