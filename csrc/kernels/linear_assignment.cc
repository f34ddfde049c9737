// SPDX-License-Identifier: Apache-2.0
#include "linear_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tfgeo {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The smaller side are the rows here. Keeps dual prices with cost(i, j) - row_price(i) - column_price(j) >= 0, and 0
// on assigned pairs; every row is added along the shortest path to a free column under these reduced costs.
class Solver {
 public:
  Solver(std::vector<double> costs, int64_t rows, int64_t columns)
      : costs_(std::move(costs)),
        columns_(columns),
        row_price_(rows, 0),
        column_price_(columns, 0),
        owner_(columns, -1),
        column_of_(rows, -1),
        distance_(columns),
        from_(columns),
        waiting_(columns) {}

  // Assigns `row` and moves others as needed; false when no free column can be reached.
  bool Add(int64_t row) {
    for (int64_t j = 0; j < columns_; ++j) {
      distance_[j] = kInfinity;
      waiting_[j] = static_cast<int32_t>(j);
    }
    reached_.clear();
    int64_t left = columns_;
    int64_t current = row;
    double length = 0;
    for (;;) {
      const int64_t at = Nearest(current, length, left);
      if (at < 0) return false;
      const int32_t column = waiting_[at];
      waiting_[at] = waiting_[--left];
      length = distance_[column];
      if (owner_[column] < 0) {
        UpdatePrices(row, length);
        Augment(row, column);
        return true;
      }
      reached_.push_back(column);
      current = owner_[column];
    }
  }

  // Column of each row.
  const std::vector<int64_t>& assignment() const { return column_of_; }

 private:
  // Relaxes the edges of row `current` and gives the place in `waiting_` of the nearest column, -1 if none.
  int64_t Nearest(int64_t current, double length, int64_t left) {
    const double* cost = costs_.data() + current * columns_;
    const double base = length - row_price_[current];
    double nearest = kInfinity;
    int64_t best = -1;
    for (int64_t k = 0; k < left; ++k) {
      const int32_t j = waiting_[k];
      const double through = base + cost[j] - column_price_[j];
      if (through < distance_[j]) {
        distance_[j] = through;
        from_[j] = current;
      }
      // Among equals a free column ends the search at once.
      if (distance_[j] < nearest || (distance_[j] == nearest && best >= 0 && owner_[j] < 0)) {
        nearest = distance_[j];
        best = k;
      }
    }
    return best;
  }

  void UpdatePrices(int64_t row, double length) {
    row_price_[row] += length;
    for (const int32_t j : reached_) {
      const double slack = length - distance_[j];
      row_price_[owner_[j]] += slack;
      column_price_[j] -= slack;
    }
  }

  void Augment(int64_t row, int64_t column) {
    for (;;) {
      const int64_t i = from_[column];
      owner_[column] = i;
      std::swap(column_of_[i], column);
      if (i == row) return;
    }
  }

  std::vector<double> costs_;
  int64_t columns_;
  std::vector<double> row_price_, column_price_;
  std::vector<int64_t> owner_, column_of_;
  std::vector<double> distance_;
  std::vector<int64_t> from_;
  std::vector<int32_t> waiting_, reached_;
};

}  // namespace

AssignmentStatus LinearAssignment(const float* costs, int64_t queries, int64_t targets, int64_t stride,
                                  int32_t* query_of_target) {
  std::fill(query_of_target, query_of_target + targets, -1);
  const bool by_target = targets <= queries;  // targets are the rows
  const int64_t rows = by_target ? targets : queries, columns = by_target ? queries : targets;
  std::vector<double> table(rows * columns);
  for (int64_t q = 0; q < queries; ++q) {
    for (int64_t t = 0; t < targets; ++t) {
      const double cost = costs[q * stride + t];
      if (std::isnan(cost) || cost == -kInfinity) return AssignmentStatus::kInvalid;
      table[by_target ? t * columns + q : q * columns + t] = cost;
    }
  }
  Solver solver(std::move(table), rows, columns);
  for (int64_t row = 0; row < rows; ++row) {
    if (!solver.Add(row)) return AssignmentStatus::kInfeasible;
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t column = solver.assignment()[row];
    if (by_target) {
      query_of_target[row] = static_cast<int32_t>(column);
    } else {
      query_of_target[column] = static_cast<int32_t>(row);
    }
  }
  return AssignmentStatus::kOk;
}

}  // namespace tfgeo
