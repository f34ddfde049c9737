// SPDX-License-Identifier: Apache-2.0
// How many inputs each registered op takes. TensorFlow's eager API reads past the end of an op's definition when it is
// given more, which ends the process, so this is checked before.
#ifndef TFGEO_NODE_OP_TABLE_H_
#define TFGEO_NODE_OP_TABLE_H_

#include <string>

namespace tfgeo {

/** Most inputs that `op` takes; -1 if it takes lists of any length, or is not a registered op (but a function). */
int MostInputs(const std::string& op);

/** Adds the ops of a serialized tensorflow.OpList; a library's are not in the first list. */
void AddToOpTable(const std::string& op_list);

}  // namespace tfgeo

#endif  // TFGEO_NODE_OP_TABLE_H_
