// SPDX-License-Identifier: Apache-2.0
// What the definitions of the registered ops say: their inputs, their attributes, whether they have side effects.
//
// TensorFlow's eager API reads past the end of an op's definition when it is given more inputs, which ends the process,
// so their number is checked before; and an op becomes a node of a graph only with its inputs sorted into lists.
#ifndef TFGEO_NODE_OP_TABLE_H_
#define TFGEO_NODE_OP_TABLE_H_

#include <set>
#include <string>
#include <vector>

namespace tfgeo {

/** One declared input: a tensor, or a list of them whose length or types an attribute gives. */
struct OpInput {
  /** Attribute with the length or the types of a list; empty for one tensor. */
  std::string list_attribute;
  bool has_types = false;
};

struct OpInfo {
  std::vector<OpInput> inputs;
  std::set<std::string> attributes;
  /** Attributes that follow from the inputs. */
  std::set<std::string> inferred;
  /** Has state or draws at random: runs on every call, in order. */
  bool stateful = false;

  /** Most inputs it takes; -1 for lists of any length. */
  int MostInputs() const;
};

/** The definition of `op`, valid for good; null if it is not registered (but a function). */
const OpInfo* FindOp(const std::string& op);

/** Adds the ops of a serialized tensorflow.OpList; a library's are not in the first list. */
void AddToOpTable(const std::string& op_list);

}  // namespace tfgeo

#endif  // TFGEO_NODE_OP_TABLE_H_
