// SPDX-License-Identifier: Apache-2.0
#include "op_table.h"

#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "tensorflow/c/c_api.h"

namespace tfgeo {
namespace {

struct Bytes {
  const uint8_t* at;
  const uint8_t* end;
};

uint64_t Varint(Bytes* bytes) {
  uint64_t value = 0;
  for (int shift = 0; bytes->at < bytes->end && shift < 64; shift += 7) {
    const uint8_t byte = *bytes->at++;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

/** Calls `visit(field, contents)` for each length-delimited field of a protocol buffer message. */
void VisitFields(Bytes message, const std::function<void(int, Bytes)>& visit) {
  while (message.at < message.end) {
    const uint64_t tag = Varint(&message);
    const size_t left = static_cast<size_t>(message.end - message.at);
    size_t length = 0;
    switch (tag & 7) {
      case 0:
        Varint(&message);
        continue;
      case 1:
        length = 8;
        break;
      case 5:
        length = 4;
        break;
      default: {
        length = static_cast<size_t>(Varint(&message));
        const size_t rest = static_cast<size_t>(message.end - message.at);
        if (length > rest) return;
        visit(static_cast<int>(tag >> 3), {message.at, message.at + length});
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
constexpr int kArgDefNumberAttr = 5;
constexpr int kArgDefTypeListAttr = 6;

struct Table {
  std::mutex mutex;
  std::unordered_map<std::string, int> most_inputs;

  void Add(Bytes list) {
    VisitFields(list, [this](int list_field, Bytes op) {
      if (list_field != kOpListOp) return;
      std::string name;
      int inputs = 0;
      bool any_number = false;
      VisitFields(op, [&](int field, Bytes contents) {
        if (field == kOpDefName) name.assign(contents.at, contents.end);
        if (field != kOpDefInputArg) return;
        inputs++;
        VisitFields(contents, [&](int arg_field, Bytes) {
          any_number = any_number || arg_field == kArgDefNumberAttr || arg_field == kArgDefTypeListAttr;
        });
      });
      most_inputs[name] = any_number ? -1 : inputs;
    });
  }

  Table() {
    TF_Buffer* all = TF_GetAllOpList();
    const uint8_t* data = static_cast<const uint8_t*>(all->data);
    Add({data, data + all->length});
    TF_DeleteBuffer(all);
  }
};

Table& TheTable() {
  static Table* table = new Table();
  return *table;
}

}  // namespace

int MostInputs(const std::string& op) {
  Table& table = TheTable();
  std::lock_guard<std::mutex> lock(table.mutex);
  auto found = table.most_inputs.find(op);
  return found == table.most_inputs.end() ? -1 : found->second;
}

void AddToOpTable(const std::string& op_list) {
  Table& table = TheTable();
  std::lock_guard<std::mutex> lock(table.mutex);
  const uint8_t* data = reinterpret_cast<const uint8_t*>(op_list.data());
  table.Add({data, data + op_list.size()});
}

}  // namespace tfgeo
