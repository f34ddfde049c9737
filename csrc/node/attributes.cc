// SPDX-License-Identifier: Apache-2.0
#include "attributes.h"

#include <memory>
#include <vector>

#include "status.h"
#include "tensorflow/c/tf_attrtype.h"

namespace tfgeo {
namespace {

/** Where attributes go. */
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void String(const char* name, const void* value, size_t length) = 0;
  virtual void StringList(const char* name, const void* const* values, const size_t* lengths, int count) = 0;
  virtual void Int(const char* name, int64_t value) = 0;
  virtual void IntList(const char* name, const int64_t* values, int count) = 0;
  virtual void Float(const char* name, float value) = 0;
  virtual void FloatList(const char* name, const float* values, int count) = 0;
  virtual void Bool(const char* name, unsigned char value) = 0;
  virtual void BoolList(const char* name, const unsigned char* values, int count) = 0;
  virtual void Type(const char* name, TF_DataType value) = 0;
  virtual void TypeList(const char* name, const TF_DataType* values, int count) = 0;
  virtual void Shape(const char* name, const int64_t* dims, int rank) = 0;
  virtual void ShapeList(const char* name, const int64_t** dims, const int* ranks, int count) = 0;
};

/** The attributes of an op that is to run. */
class EagerSink : public Sink {
 public:
  explicit EagerSink(TFE_Op* op) : op_(op) {}
  void String(const char* n, const void* v, size_t l) override { TFE_OpSetAttrString(op_, n, v, l); }
  void StringList(const char* n, const void* const* v, const size_t* l, int c) override {
    TFE_OpSetAttrStringList(op_, n, v, l, c);
  }
  void Int(const char* n, int64_t v) override { TFE_OpSetAttrInt(op_, n, v); }
  void IntList(const char* n, const int64_t* v, int c) override { TFE_OpSetAttrIntList(op_, n, v, c); }
  void Float(const char* n, float v) override { TFE_OpSetAttrFloat(op_, n, v); }
  void FloatList(const char* n, const float* v, int c) override { TFE_OpSetAttrFloatList(op_, n, v, c); }
  void Bool(const char* n, unsigned char v) override { TFE_OpSetAttrBool(op_, n, v); }
  void BoolList(const char* n, const unsigned char* v, int c) override { TFE_OpSetAttrBoolList(op_, n, v, c); }
  void Type(const char* n, TF_DataType v) override { TFE_OpSetAttrType(op_, n, v); }
  void TypeList(const char* n, const TF_DataType* v, int c) override { TFE_OpSetAttrTypeList(op_, n, v, c); }
  void Shape(const char* n, const int64_t* dims, int rank) override {
    Status status;
    TFE_OpSetAttrShape(op_, n, dims, rank, status.get());
    status.ThrowUnlessOk(n);
  }
  void ShapeList(const char* n, const int64_t** dims, const int* ranks, int count) override {
    Status status;
    TFE_OpSetAttrShapeList(op_, n, dims, ranks, count, status.get());
    status.ThrowUnlessOk(n);
  }

 private:
  TFE_Op* op_;
};

/** The attributes of a node that is being made. */
class NodeSink : public Sink {
 public:
  explicit NodeSink(TF_OperationDescription* node) : node_(node) {}
  void String(const char* n, const void* v, size_t l) override { TF_SetAttrString(node_, n, v, l); }
  void StringList(const char* n, const void* const* v, const size_t* l, int c) override {
    TF_SetAttrStringList(node_, n, v, l, c);
  }
  void Int(const char* n, int64_t v) override { TF_SetAttrInt(node_, n, v); }
  void IntList(const char* n, const int64_t* v, int c) override { TF_SetAttrIntList(node_, n, v, c); }
  void Float(const char* n, float v) override { TF_SetAttrFloat(node_, n, v); }
  void FloatList(const char* n, const float* v, int c) override { TF_SetAttrFloatList(node_, n, v, c); }
  void Bool(const char* n, unsigned char v) override { TF_SetAttrBool(node_, n, v); }
  void BoolList(const char* n, const unsigned char* v, int c) override { TF_SetAttrBoolList(node_, n, v, c); }
  void Type(const char* n, TF_DataType v) override { TF_SetAttrType(node_, n, v); }
  void TypeList(const char* n, const TF_DataType* v, int c) override { TF_SetAttrTypeList(node_, n, v, c); }
  void Shape(const char* n, const int64_t* dims, int rank) override { TF_SetAttrShape(node_, n, dims, rank); }
  void ShapeList(const char* n, const int64_t** dims, const int* ranks, int count) override {
    TF_SetAttrShapeList(node_, n, dims, ranks, count);
  }

 private:
  TF_OperationDescription* node_;
};

/** One attribute: its name, for messages too, and where it goes. */
struct Attribute {
  napi_env env;
  Sink* op;
  std::string name;
  napi_value value;

  std::string What() const { return "attribute '" + name + "'"; }
};

/** Applies `read` to each element of the attribute's array. */
template <typename T, typename Read>
std::vector<T> List(const Attribute& attribute, Read read) {
  const uint32_t length = ArrayLength(attribute.env, attribute.value, "attribute");
  std::vector<T> list;
  list.reserve(length);
  for (uint32_t i = 0; i < length; i++) list.push_back(read(Element(attribute.env, attribute.value, i)));
  return list;
}

void SetString(const Attribute& a) {
  if (!IsArray(a.env, a.value)) {
    const std::string text = ToString(a.env, a.value, a.What().c_str());
    a.op->String(a.name.c_str(), text.data(), text.size());
    return;
  }
  const auto texts = List<std::string>(a, [&](napi_value v) { return ToString(a.env, v, a.What().c_str()); });
  std::vector<const void*> pointers;
  std::vector<size_t> lengths;
  for (const std::string& text : texts) {
    pointers.push_back(text.data());
    lengths.push_back(text.size());
  }
  a.op->StringList(a.name.c_str(), pointers.data(), lengths.data(), static_cast<int>(texts.size()));
}

void SetInt(const Attribute& a) {
  if (!IsArray(a.env, a.value)) {
    a.op->Int(a.name.c_str(), ToInt64(a.env, a.value, a.What().c_str()));
    return;
  }
  const auto list = List<int64_t>(a, [&](napi_value v) { return ToInt64(a.env, v, a.What().c_str()); });
  a.op->IntList(a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetFloat(const Attribute& a) {
  const auto read = [&](napi_value v) { return static_cast<float>(ToDouble(a.env, v, a.What().c_str())); };
  if (!IsArray(a.env, a.value)) {
    a.op->Float(a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<float>(a, read);
  a.op->FloatList(a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetBool(const Attribute& a) {
  const auto read = [&](napi_value v) -> unsigned char { return ToBool(a.env, v, a.What().c_str()); };
  if (!IsArray(a.env, a.value)) {
    a.op->Bool(a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<unsigned char>(a, read);
  a.op->BoolList(a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetType(const Attribute& a) {
  const auto read = [&](napi_value v) {
    return static_cast<TF_DataType>(ToInt64(a.env, v, a.What().c_str()));
  };
  if (!IsArray(a.env, a.value)) {
    a.op->Type(a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<TF_DataType>(a, read);
  a.op->TypeList(a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

/** A dimension of -1 is an unknown one, hence no ToShape here. */
std::vector<int64_t> Dimensions(const Attribute& a, napi_value value) {
  return List<int64_t>({a.env, a.op, a.name, value},
                       [&](napi_value v) { return ToInt64(a.env, v, a.What().c_str()); });
}

/** [2, 3] is a shape; [[2, 3], [4]] is a list of shapes. */
void SetShape(const Attribute& a) {
  const uint32_t length = ArrayLength(a.env, a.value, a.What().c_str());
  if (length == 0 || !IsArray(a.env, Element(a.env, a.value, 0))) {
    const std::vector<int64_t> dims = Dimensions(a, a.value);
    a.op->Shape(a.name.c_str(), dims.data(), static_cast<int>(dims.size()));
  } else {
    const auto shapes = List<std::vector<int64_t>>(a, [&](napi_value v) { return Dimensions(a, v); });
    std::vector<const int64_t*> dims;
    std::vector<int> ranks;
    for (const auto& shape : shapes) {
      dims.push_back(shape.data());
      ranks.push_back(static_cast<int>(shape.size()));
    }
    a.op->ShapeList(a.name.c_str(), dims.data(), ranks.data(), static_cast<int>(shapes.size()));
  }
}

/** Sets every attribute that `wanted(name)` lets through. */
template <typename Wanted>
void SetAll(napi_env env, const Keys& keys, napi_value attributes, Sink* op, const Wanted& wanted) {
  const uint32_t count = ArrayLength(env, attributes, "attributes");
  for (uint32_t i = 0; i < count; i++) {
    const napi_value entry = Element(env, attributes, i);
    napi_value name = nullptr, type = nullptr, value = nullptr;
    Check(env, napi_get_property(env, entry, keys[kKeyName], &name));
    Check(env, napi_get_property(env, entry, keys[kKeyType], &type));
    Check(env, napi_get_property(env, entry, keys[kKeyValue], &value));
    const Attribute attribute{env, op, ToString(env, name, "an attribute's name"), value};
    if (!wanted(attribute.name)) continue;
    switch (ToInt64(env, type, "an attribute's type")) {
      case TF_ATTR_STRING:
        SetString(attribute);
        break;
      case TF_ATTR_INT:
        SetInt(attribute);
        break;
      case TF_ATTR_FLOAT:
        SetFloat(attribute);
        break;
      case TF_ATTR_BOOL:
        SetBool(attribute);
        break;
      case TF_ATTR_TYPE:
        SetType(attribute);
        break;
      case TF_ATTR_SHAPE:
        SetShape(attribute);
        break;
      default:
        throw Failure(attribute.What() + " has an unknown type");
    }
  }
}

}  // namespace

void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, TFE_Op* op) {
  EagerSink sink(op);
  SetAll(env, keys, attributes, &sink, [](const std::string&) { return true; });
}

void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, const OpInfo& info,
                   TF_OperationDescription* node) {
  NodeSink sink(node);
  SetAll(env, keys, attributes, &sink, [&](const std::string& name) {
    return info.attributes.count(name) > 0 && info.inferred.count(name) == 0;
  });
}

}  // namespace tfgeo
