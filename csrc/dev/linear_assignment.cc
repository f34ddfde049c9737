// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/linear_assignment.cc; how to build it: dev.h.
#include "../kernels/linear_assignment.h"

#include <limits>
#include <numeric>

#include "dev.h"

namespace {

using namespace tfgeo;

// Cost of an assignment; NaN if a query is used twice or the number of pairs is wrong.
double Cost(const std::vector<float>& costs, int64_t queries, int64_t targets, const std::vector<int32_t>& found) {
  std::vector<bool> used(queries);
  double sum = 0;
  int64_t pairs = 0;
  for (int64_t t = 0; t < targets; ++t) {
    if (found[t] < 0) continue;
    if (used[found[t]]) return NAN;
    used[found[t]] = true;
    sum += costs[found[t] * targets + t];
    ++pairs;
  }
  return pairs == std::min(queries, targets) ? sum : NAN;
}

// Tries every way.
double BruteForce(const std::vector<float>& costs, int64_t queries, int64_t targets, int64_t query, uint32_t taken) {
  const int64_t chosen = __builtin_popcount(taken);
  if (chosen == std::min(queries, targets)) return 0;
  if (query == queries) return std::numeric_limits<double>::infinity();
  double best = BruteForce(costs, queries, targets, query + 1, taken);
  for (int64_t t = 0; t < targets; ++t) {
    if (taken >> t & 1) continue;
    best = std::min(best, costs[query * targets + t] +
                              BruteForce(costs, queries, targets, query + 1, taken | 1u << t));
  }
  return best;
}

void TimeAll() {
  dev::Uniform uniform(6);
  const int64_t sizes[][2] = {{100, 15}, {300, 100}, {900, 300}, {300, 300}};
  for (const auto& size : sizes) {
    const int64_t queries = size[0], targets = size[1];
    const std::vector<float> costs = uniform.Many<float>(queries * targets, -3, 7);
    std::vector<int32_t> found(targets);
    const double time =
        dev::Milliseconds([&] { LinearAssignment(costs.data(), queries, targets, targets, found.data()); });
    std::printf("time  %ld x %ld: %.3f ms\n", static_cast<long>(queries), static_cast<long>(targets), time);
  }
}

}  // namespace

int main(int argc, char** argv) {
  dev::Uniform uniform(5);
  const float inf = std::numeric_limits<float>::infinity();
  double worst = 0;
  int wrong_status = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const int64_t queries = static_cast<int64_t>(uniform(0, 7)), targets = static_cast<int64_t>(uniform(0, 7));
    std::vector<float> costs = uniform.Many<float>(queries * targets, -1, 1);
    for (float& c : costs) {
      if (trial % 3 == 1) c = std::round(2 * c);  // ties
      if (trial % 3 == 2 && uniform(0, 1) < 0.4) c = inf;
    }
    std::vector<int32_t> found(targets);
    const auto status = LinearAssignment(costs.data(), queries, targets, targets, found.data());
    const double want = BruteForce(costs, queries, targets, 0, 0);
    if (std::isinf(want)) {
      wrong_status += status != AssignmentStatus::kInfeasible;
    } else {
      wrong_status += status != AssignmentStatus::kOk;
      const double error = std::fabs(Cost(costs, queries, targets, found) - want);
      if (!(error <= worst)) worst = error;
    }
  }
  dev::Check("2000 small problems against every assignment", worst, 1e-6);
  dev::Check("their status", wrong_status, 0);
  int32_t one;
  for (float bad : {NAN, -inf}) {
    dev::Check("invalid cost", LinearAssignment(&bad, 1, 1, 1, &one) != AssignmentStatus::kInvalid, 0);
  }
  return dev::Finish(argc, argv, TimeAll);
}
