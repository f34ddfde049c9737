// SPDX-License-Identifier: Apache-2.0
// Exact assignment of targets to queries at the least total cost.
// Source: Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment
// problems", in the rectangular form (only the smaller side is augmented).
#ifndef TFGEO_KERNELS_LINEAR_ASSIGNMENT_H_
#define TFGEO_KERNELS_LINEAR_ASSIGNMENT_H_

#include <cstdint>

namespace tfgeo {

enum class AssignmentStatus {
  kOk,
  kInvalid,     // a cost is NaN or -infinity
  kInfeasible,  // +infinity forbids so many pairs that the smaller side cannot all be assigned
};

// costs [queries, stride], of which the first `targets` columns count; +infinity forbids a pair. Writes the query of
// each target, -1 for a target left over (when there are more targets than queries). Sums in double precision.
AssignmentStatus LinearAssignment(const float* costs, int64_t queries, int64_t targets, int64_t stride,
                                  int32_t* query_of_target);

}  // namespace tfgeo

#endif  // TFGEO_KERNELS_LINEAR_ASSIGNMENT_H_
