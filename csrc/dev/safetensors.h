// SPDX-License-Identifier: Apache-2.0
// Reads the golden vectors: safetensors files of small tensors, and the JSON that describes them. For trusted files.
#ifndef TFGEO_DEV_SAFETENSORS_H_
#define TFGEO_DEV_SAFETENSORS_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace tfgeo::dev {

// ---- JSON ----

struct Json {
  enum Kind { kNull, kBool, kNumber, kString, kArray, kObject } kind = kNull;
  double number = 0;  // 0 or 1 for a truth value
  std::string string;
  std::vector<Json> array;
  std::map<std::string, Json> object;

  const Json& at(const std::string& key) const {
    const auto found = object.find(key);
    if (found == object.end()) throw std::runtime_error("no \"" + key + "\" in the JSON");
    return found->second;
  }
  bool has(const std::string& key) const { return object.count(key) > 0; }
};

class JsonReader {
 public:
  explicit JsonReader(const std::string& text) : at_(text.data()), end_(text.data() + text.size()) {}

  Json Value() {
    Json json;
    const char next = Peek();
    if (next == '{') {
      json.kind = Json::kObject;
      List('}', [&] {
        const std::string key = String();
        Expect(':');
        json.object[key] = Value();
      });
    } else if (next == '[') {
      json.kind = Json::kArray;
      List(']', [&] { json.array.push_back(Value()); });
    } else if (next == '"') {
      json.kind = Json::kString;
      json.string = String();
    } else {
      Word(&json);
    }
    return json;
  }

 private:
  char Peek() {
    while (at_ < end_ && std::strchr(" \t\r\n", *at_)) ++at_;
    if (at_ == end_) throw std::runtime_error("the JSON ends too early");
    return *at_;
  }
  void Expect(char wanted) {
    if (Peek() != wanted) throw std::runtime_error(std::string("the JSON has no ") + wanted + " where one must be");
    ++at_;
  }
  template <typename F>
  void List(char close, F item) {
    ++at_;
    if (Peek() == close) {
      ++at_;
      return;
    }
    for (;;) {
      item();
      if (Peek() == close) break;
      Expect(',');
    }
    ++at_;
  }
  // Escapes stay as they are, but for the quote and the backslash: names and numbers are what is read.
  std::string String() {
    Expect('"');
    std::string text;
    while (at_ < end_ && *at_ != '"') {
      if (*at_ == '\\' && at_ + 1 < end_ && (at_[1] == '"' || at_[1] == '\\')) ++at_;
      text += *at_++;
    }
    Expect('"');
    return text;
  }
  void Word(Json* json) {
    const char* begin = at_;
    while (at_ < end_ && !std::strchr(",]} \t\r\n", *at_)) ++at_;
    const std::string word(begin, at_);
    if (word == "null") return;
    json->kind = word == "true" || word == "false" ? Json::kBool : Json::kNumber;
    json->number = json->kind == Json::kBool ? word == "true" : std::strtod(word.c_str(), nullptr);
  }

  const char *at_, *end_;
};

inline Json ParseJson(const std::string& text) { return JsonReader(text).Value(); }

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// ---- tensors ----

struct StoredTensor {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

template <typename T>
std::vector<double> Widened(const char* from, size_t bytes) {
  std::vector<T> values(bytes / sizeof(T));
  std::memcpy(values.data(), from, values.size() * sizeof(T));
  return std::vector<double>(values.begin(), values.end());
}

inline std::vector<double> Widened(const std::string& dtype, const char* from, size_t bytes) {
  if (dtype == "F32") return Widened<float>(from, bytes);
  if (dtype == "F64") return Widened<double>(from, bytes);
  if (dtype == "I32") return Widened<int32_t>(from, bytes);
  if (dtype == "I64") return Widened<int64_t>(from, bytes);
  if (dtype == "U8" || dtype == "BOOL") return Widened<uint8_t>(from, bytes);
  throw std::runtime_error("tensors of type " + dtype + " are not read here");
}

inline std::map<std::string, StoredTensor> ReadSafetensors(const std::string& path) {
  const std::string file = ReadFile(path);
  uint64_t header = 0;
  if (file.size() >= 8) std::memcpy(&header, file.data(), 8);
  if (file.size() < 8 || header > file.size() - 8) throw std::runtime_error(path + " is no safetensors file");
  const size_t start = 8 + header, length = file.size() - start;
  std::map<std::string, StoredTensor> tensors;
  const Json index = ParseJson(file.substr(8, header));
  for (const auto& [name, entry] : index.object) {
    if (name == "__metadata__") continue;
    const auto begin = static_cast<size_t>(entry.at("data_offsets").array.at(0).number);
    const auto end = static_cast<size_t>(entry.at("data_offsets").array.at(1).number);
    if (begin > end || end > length) throw std::runtime_error(path + ": " + name + " lies outside of the file");
    StoredTensor& tensor = tensors[name];
    for (const Json& size : entry.at("shape").array) tensor.shape.push_back(static_cast<int64_t>(size.number));
    tensor.data = Widened(entry.at("dtype").string, file.data() + start + begin, end - begin);
  }
  return tensors;
}

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_SAFETENSORS_H_
