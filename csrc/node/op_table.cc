// SPDX-License-Identifier: Apache-2.0
#include "op_table.h"

#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "tensorflow/c/c_api.h"

namespace tfgeo {
namespace {

/** Contents of a field of a message, or its number. */
struct Field {
  const uint8_t* at = nullptr;
  const uint8_t* end = nullptr;
  uint64_t number = 0;

  std::string Text() const { return std::string(at, end); }
};

uint64_t Varint(Field* bytes) {
  uint64_t value = 0;
  for (int shift = 0; bytes->at < bytes->end && shift < 64; shift += 7) {
    const uint8_t byte = *bytes->at++;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

/** Calls `visit(number, field)` for each variable-length integer and length-delimited field of a message. */
void VisitFields(Field message, const std::function<void(int, const Field&)>& visit) {
  while (message.at < message.end) {
    const uint64_t tag = Varint(&message);
    const int number = static_cast<int>(tag >> 3);
    const uint64_t left = static_cast<uint64_t>(message.end - message.at);
    uint64_t length = 0;
    switch (tag & 7) {
      case 0: {
        Field value;
        value.number = Varint(&message);
        visit(number, value);
        continue;
      }
      case 1:
        length = 8;
        break;
      case 5:
        length = 4;
        break;
      default: {
        length = Varint(&message);
        if (length > static_cast<uint64_t>(message.end - message.at)) return;
        visit(number, {message.at, message.at + length, 0});
        message.at += length;
        continue;
      }
    }
    if (length > left) return;
    message.at += length;
  }
}

// Field numbers of tensorflow/core/framework/op_def.proto.
constexpr int kOpListOp = 1;
constexpr int kOpDefName = 1;
constexpr int kOpDefInputArg = 2;
constexpr int kOpDefAttr = 4;
constexpr int kOpDefIsStateful = 17;
constexpr int kArgDefTypeAttr = 4;
constexpr int kArgDefNumberAttr = 5;
constexpr int kArgDefTypeListAttr = 6;
constexpr int kAttrDefName = 1;

void AddInput(const Field& arg, OpInfo* op) {
  OpInput input;
  VisitFields(arg, [&](int number, const Field& field) {
    if (number == kArgDefTypeAttr) op->inferred.insert(field.Text());
    if (number != kArgDefNumberAttr && number != kArgDefTypeListAttr) return;
    input.list_attribute = field.Text();
    input.has_types = number == kArgDefTypeListAttr;
    op->inferred.insert(input.list_attribute);
  });
  op->inputs.push_back(input);
}

struct Table {
  std::mutex mutex;
  std::unordered_map<std::string, OpInfo> ops;

  void Add(Field list) {
    VisitFields(list, [this](int list_field, const Field& definition) {
      if (list_field != kOpListOp) return;
      std::string name;
      OpInfo op;
      VisitFields(definition, [&](int number, const Field& field) {
        if (number == kOpDefName) name = field.Text();
        if (number == kOpDefInputArg) AddInput(field, &op);
        if (number == kOpDefIsStateful) op.stateful = field.number != 0;
        if (number != kOpDefAttr) return;
        VisitFields(field, [&](int attr_number, const Field& attr_field) {
          if (attr_number == kAttrDefName) op.attributes.insert(attr_field.Text());
        });
      });
      ops.emplace(name, op);
    });
  }

  Table() {
    TF_Buffer* all = TF_GetAllOpList();
    const uint8_t* data = static_cast<const uint8_t*>(all->data);
    Add({data, data + all->length, 0});
    TF_DeleteBuffer(all);
  }
};

Table& TheTable() {
  static Table* table = new Table();
  return *table;
}

}  // namespace

int OpInfo::MostInputs() const {
  for (const OpInput& input : inputs) {
    if (!input.list_attribute.empty()) return -1;
  }
  return static_cast<int>(inputs.size());
}

const OpInfo* FindOp(const std::string& op) {
  Table& table = TheTable();
  std::lock_guard<std::mutex> lock(table.mutex);
  auto found = table.ops.find(op);
  return found == table.ops.end() ? nullptr : &found->second;
}

void AddToOpTable(const std::string& op_list) {
  Table& table = TheTable();
  std::lock_guard<std::mutex> lock(table.mutex);
  const uint8_t* data = reinterpret_cast<const uint8_t*>(op_list.data());
  table.Add({data, data + op_list.size(), 0});
}

}  // namespace tfgeo
