// SPDX-License-Identifier: Apache-2.0
#include "roi_align.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#define TFGEO_ISA_BODY "roi_align_body.h"
#include "foreach_isa.h"

namespace tfgeo {
namespace {

// How much of each cell of a map along one axis is in each cell of the grid. Bilinear samples on a regular grid are
// products of one such factor for rows and one for columns.
class Axis {
 public:
  // The first cell that part `p` takes from, how many it takes from, and their weights.
  int64_t First(int64_t p) const { return first_[p]; }
  int64_t Count(int64_t p) const { return count_[p]; }
  const float* Weights(int64_t p) const { return weights_.data() + p * size_; }

  // `begin` and `length` of the box in cells, `parts` of the grid, `size` cells of the map.
  void Fill(double begin, double length, int64_t parts, int64_t sampling, int64_t size) {
    size_ = size;
    first_.assign(parts, 0);
    count_.assign(parts, 0);
    weights_.assign(parts * size, 0.0f);
    const double samples = sampling > 0 ? static_cast<double>(sampling) : std::ceil(length / parts);
    if (!(samples >= 1)) return;
    for (int64_t p = 0; p < parts; ++p) FillPart(p, begin + p * length / parts, length / parts, samples);
  }

 private:
  void FillPart(int64_t p, double begin, double length, double samples) {
    const double step = length / samples;
    // What lies further outside than a cell counts as 0: it is not gone through, however large the box is.
    double k = 0, last = samples - 1;
    if (step > 0) {
      k = std::max(k, std::floor((-1 - begin) / step - 0.5));
      last = std::min(last, std::ceil((size_ - begin) / step - 0.5));
    }
    int64_t low_end = size_, high_end = -1;
    sums_.assign(size_, 0.0);
    // Beyond 2^53 one more makes no difference.
    const double most = k + 1 > k ? last - k + 1 : 1;
    for (int64_t i = 0; i < most; ++i) {
      const double at = begin + (k + i + 0.5) * step;
      if (at < -1 || at > size_) continue;
      const double y = std::min(std::max(at, 0.0), static_cast<double>(size_ - 1));
      const int64_t low = static_cast<int64_t>(y), high = std::min(low + 1, size_ - 1);
      sums_[low] += 1 - (y - low);
      sums_[high] += y - low;
      low_end = std::min(low_end, low);
      high_end = std::max(high_end, high);
    }
    if (high_end < 0) return;
    first_[p] = low_end;
    count_[p] = high_end - low_end + 1;
    for (int64_t i = 0; i < count_[p]; ++i) {
      weights_[p * size_ + i] = static_cast<float>(sums_[low_end + i] / samples);
    }
  }

  int64_t size_ = 0;
  std::vector<int64_t> first_, count_;
  std::vector<float> weights_;
  std::vector<double> sums_;
};

// Where a box lies on its map.
struct Place {
  bool finite, known;
  int64_t offset, rows, columns;
  Axis y, x;

  void Find(const RoiAlignShape& shape, const float* box, int32_t level) {
    finite = std::isfinite(box[0]) && std::isfinite(box[1]) && std::isfinite(box[2]) && std::isfinite(box[3]);
    known = level >= 0 && level < shape.levels;
    if (!known || !finite) return;
    offset = 0;
    for (int32_t l = 0; l < level; ++l) offset += static_cast<int64_t>(shape.sizes[2 * l]) * shape.sizes[2 * l + 1];
    rows = shape.sizes[2 * level];
    columns = shape.sizes[2 * level + 1];
    const double scale = shape.scales[level], shift = shape.aligned ? 0.5 : 0;
    const auto extent = [&](double low, double high) {
      const double length = (high - low) * scale;
      return shape.aligned ? length : std::max(length, 1.0);
    };
    y.Fill(box[1] * scale - shift, extent(box[1], box[3]), shape.height, shape.sampling, rows);
    x.Fill(box[0] * scale - shift, extent(box[0], box[2]), shape.width, shape.sampling, columns);
  }

  // Calls fn(row of the grid, column of the grid, first cell, cells, weight of the row, weights of the columns).
  template <typename Fn>
  void ForEach(const RoiAlignShape& shape, const Fn& fn) const {
    for (int64_t i = 0; i < shape.height; ++i) {
      for (int64_t r = 0; r < y.Count(i); ++r) {
        const int64_t row = offset + (y.First(i) + r) * columns;
        for (int64_t j = 0; j < shape.width; ++j) {
          if (x.Count(j) > 0) fn(i, j, row + x.First(j), x.Count(j), y.Weights(i)[r], x.Weights(j));
        }
      }
    }
  }
};

// Channels that one thread sums the gradients of; the others' are another's.
constexpr int64_t kChannelBlock = 32;

}  // namespace

void RoiAlign(const RoiAlignShape& shape, const float* value, const float* boxes, const int32_t* level, float* out,
              const Parallel& parallel) {
  const auto gather = TFGEO_DISPATCH(GatherCells);
  const int64_t channels = shape.channels, grid = shape.height * shape.width;
  const int64_t total = shape.batch * shape.boxes;
  parallel.run(total, BlockSize(parallel, total, 1), [&](int64_t begin, int64_t end) {
    Place place;
    for (int64_t n = begin; n < end; ++n) {
      place.Find(shape, boxes + 4 * n, level[n]);
      float* own = out + n * grid * channels;
      const bool bad = place.known && !place.finite;
      std::fill(own, own + grid * channels, bad ? std::numeric_limits<float>::quiet_NaN() : 0.0f);
      if (!place.known || bad) continue;
      const float* maps = value + n / shape.boxes * shape.cells * channels;
      place.ForEach(shape, [&](int64_t i, int64_t j, int64_t cell, int64_t count, float row, const float* weights) {
        gather(count, channels, channels, row, weights, maps + cell * channels,
               own + (i * shape.width + j) * channels);
      });
    }
  });
}

void RoiAlignGrad(const RoiAlignShape& shape, const float* grad_out, const float* boxes, const int32_t* level,
                  float* grad_value, const Parallel& parallel) {
  const auto scatter = TFGEO_DISPATCH(ScatterCells);
  const int64_t channels = shape.channels, grid = shape.height * shape.width;
  const int64_t blocks = (channels + kChannelBlock - 1) / kChannelBlock;
  parallel.run(shape.batch * blocks, 1, [&](int64_t begin, int64_t end) {
    Place place;
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t picture = unit / blocks, first = unit % blocks * kChannelBlock;
      const int64_t count = std::min(kChannelBlock, channels - first);
      float* maps = grad_value + picture * shape.cells * channels + first;
      for (int64_t cell = 0; cell < shape.cells; ++cell) std::fill_n(maps + cell * channels, count, 0.0f);
      for (int64_t n = picture * shape.boxes; n < (picture + 1) * shape.boxes; ++n) {
        place.Find(shape, boxes + 4 * n, level[n]);
        if (!place.known || !place.finite) continue;
        const float* own = grad_out + n * grid * channels + first;
        place.ForEach(shape, [&](int64_t i, int64_t j, int64_t cell, int64_t cells, float row, const float* weights) {
          scatter(cells, count, channels, row, weights, own + (i * shape.width + j) * channels,
                  maps + cell * channels);
        });
      }
    }
  });
}

}  // namespace tfgeo
