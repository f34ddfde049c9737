// SPDX-License-Identifier: Apache-2.0
#include "attributes.h"

#include <memory>
#include <vector>

#include "status.h"
#include "tensorflow/c/tf_attrtype.h"

namespace tfgeo {
namespace {

/** One attribute: its name, for messages too, and where it goes. */
struct Attribute {
  napi_env env;
  TFE_Op* op;
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
    TFE_OpSetAttrString(a.op, a.name.c_str(), text.data(), text.size());
    return;
  }
  const auto texts = List<std::string>(a, [&](napi_value v) { return ToString(a.env, v, a.What().c_str()); });
  std::vector<const void*> pointers;
  std::vector<size_t> lengths;
  for (const std::string& text : texts) {
    pointers.push_back(text.data());
    lengths.push_back(text.size());
  }
  TFE_OpSetAttrStringList(a.op, a.name.c_str(), pointers.data(), lengths.data(), static_cast<int>(texts.size()));
}

void SetInt(const Attribute& a) {
  if (!IsArray(a.env, a.value)) {
    TFE_OpSetAttrInt(a.op, a.name.c_str(), ToInt64(a.env, a.value, a.What().c_str()));
    return;
  }
  const auto list = List<int64_t>(a, [&](napi_value v) { return ToInt64(a.env, v, a.What().c_str()); });
  TFE_OpSetAttrIntList(a.op, a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetFloat(const Attribute& a) {
  const auto read = [&](napi_value v) { return static_cast<float>(ToDouble(a.env, v, a.What().c_str())); };
  if (!IsArray(a.env, a.value)) {
    TFE_OpSetAttrFloat(a.op, a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<float>(a, read);
  TFE_OpSetAttrFloatList(a.op, a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetBool(const Attribute& a) {
  const auto read = [&](napi_value v) -> unsigned char { return ToBool(a.env, v, a.What().c_str()); };
  if (!IsArray(a.env, a.value)) {
    TFE_OpSetAttrBool(a.op, a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<unsigned char>(a, read);
  TFE_OpSetAttrBoolList(a.op, a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

void SetType(const Attribute& a) {
  const auto read = [&](napi_value v) {
    return static_cast<TF_DataType>(ToInt64(a.env, v, a.What().c_str()));
  };
  if (!IsArray(a.env, a.value)) {
    TFE_OpSetAttrType(a.op, a.name.c_str(), read(a.value));
    return;
  }
  const auto list = List<TF_DataType>(a, read);
  TFE_OpSetAttrTypeList(a.op, a.name.c_str(), list.data(), static_cast<int>(list.size()));
}

/** A dimension of -1 is an unknown one, hence no ToShape here. */
std::vector<int64_t> Dimensions(const Attribute& a, napi_value value) {
  return List<int64_t>({a.env, a.op, a.name, value},
                       [&](napi_value v) { return ToInt64(a.env, v, a.What().c_str()); });
}

/** [2, 3] is a shape; [[2, 3], [4]] is a list of shapes. */
void SetShape(const Attribute& a) {
  Status status;
  const uint32_t length = ArrayLength(a.env, a.value, a.What().c_str());
  if (length == 0 || !IsArray(a.env, Element(a.env, a.value, 0))) {
    const std::vector<int64_t> dims = Dimensions(a, a.value);
    TFE_OpSetAttrShape(a.op, a.name.c_str(), dims.data(), static_cast<int>(dims.size()), status.get());
  } else {
    const auto shapes = List<std::vector<int64_t>>(a, [&](napi_value v) { return Dimensions(a, v); });
    std::vector<const int64_t*> dims;
    std::vector<int> ranks;
    for (const auto& shape : shapes) {
      dims.push_back(shape.data());
      ranks.push_back(static_cast<int>(shape.size()));
    }
    TFE_OpSetAttrShapeList(a.op, a.name.c_str(), dims.data(), ranks.data(), static_cast<int>(shapes.size()),
                           status.get());
  }
  status.ThrowUnlessOk(a.What());
}

}  // namespace

void SetAttributes(napi_env env, const Keys& keys, napi_value attributes, TFE_Op* op) {
  const uint32_t count = ArrayLength(env, attributes, "attributes");
  for (uint32_t i = 0; i < count; i++) {
    const napi_value entry = Element(env, attributes, i);
    napi_value name = nullptr, type = nullptr, value = nullptr;
    Check(env, napi_get_property(env, entry, keys[kKeyName], &name));
    Check(env, napi_get_property(env, entry, keys[kKeyType], &type));
    Check(env, napi_get_property(env, entry, keys[kKeyValue], &value));
    const Attribute attribute{env, op, ToString(env, name, "an attribute's name"), value};
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

}  // namespace tfgeo
