// SPDX-License-Identifier: Apache-2.0
// Checks and times csrc/kernels/roi_align.cc; how to build it: dev.h.
#include "../kernels/roi_align.h"

#include "dev.h"

namespace {

using namespace tfgeo;

struct Data {
  RoiAlignShape shape;
  std::vector<int32_t> sizes, level;
  std::vector<float> scales, value, boxes, upstream, out, grad;

  Data(int64_t batch, int64_t boxes_, int64_t channels, int64_t side, int64_t sampling, bool aligned)
      : sizes{static_cast<int32_t>(side), static_cast<int32_t>(side + 3), static_cast<int32_t>((side + 1) / 2), 5},
        scales{0.25f, 0.125f} {
    shape = {batch, side * (side + 3) + (side + 1) / 2 * 5, channels, boxes_, 2, sizes.data(), scales.data(), 7, 5,
             sampling, aligned};
    dev::Uniform uniform(7);
    value = uniform.Many<float>(batch * shape.cells * channels, -1, 1);
    for (int64_t i = 0; i < batch * boxes_; ++i) {
      // Some reach outside, some are smaller than a cell.
      const double x = uniform(-8.0, 4.0 * side), y = uniform(-8.0, 4.0 * side);
      const double size = i % 3 == 0 ? 2.0 : 2.5 * side;
      for (double v : {x, y, x + uniform(0.1, size), y + uniform(0.1, size)}) boxes.push_back(static_cast<float>(v));
      level.push_back(static_cast<int32_t>(i % 4) - 1);  // -1 and 2: none
    }
    const size_t outputs = batch * boxes_ * 35 * channels;
    upstream = uniform.Many<float>(outputs, -1, 1);
    out.assign(outputs, NAN);
    grad.assign(value.size(), NAN);
  }
  void Forward(const Parallel& parallel) {
    RoiAlign(shape, value.data(), boxes.data(), level.data(), out.data(), parallel);
  }
  void Backward(const Parallel& parallel) {
    RoiAlignGrad(shape, upstream.data(), boxes.data(), level.data(), grad.data(), parallel);
  }
};

// One bilinear sample: cells and weights, by the definition.
template <typename Fn>
void Sample(double y, double x, int64_t rows, int64_t columns, const Fn& add) {
  if (y < -1 || x < -1 || y > rows || x > columns) return;
  y = std::min(std::max(y, 0.0), rows - 1.0);
  x = std::min(std::max(x, 0.0), columns - 1.0);
  const int64_t y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x);
  const int64_t y1 = std::min(y0 + 1, rows - 1), x1 = std::min(x0 + 1, columns - 1);
  add(y0 * columns + x0, (1 - (y - y0)) * (1 - (x - x0)));
  add(y0 * columns + x1, (1 - (y - y0)) * (x - x0));
  add(y1 * columns + x0, (y - y0) * (1 - (x - x0)));
  add(y1 * columns + x1, (y - y0) * (x - x0));
}

void CheckCase(int64_t batch, int64_t boxes, int64_t channels, int64_t side, int64_t sampling, bool aligned) {
  Data d(batch, boxes, channels, side, sampling, aligned);
  d.Forward(dev::Threads(3));
  d.Backward(dev::Threads(3));
  std::vector<double> out(d.out.size()), grad(d.grad.size());
  for (int64_t n = 0; n < batch * boxes; ++n) {
    const int32_t level = d.level[n];
    if (level < 0 || level >= d.shape.levels) continue;
    const float* box = d.boxes.data() + 4 * n;
    const int64_t rows = d.sizes[2 * level], columns = d.sizes[2 * level + 1];
    const int64_t offset = n / boxes * d.shape.cells + (level == 1 ? d.sizes[0] * d.sizes[1] : 0);
    const double scale = d.scales[level], shift = aligned ? 0.5 : 0;
    const double height = aligned ? (box[3] - box[1]) * scale : std::max((box[3] - box[1]) * scale, 1.0);
    const double width = aligned ? (box[2] - box[0]) * scale : std::max((box[2] - box[0]) * scale, 1.0);
    const int64_t ny = sampling ? sampling : static_cast<int64_t>(std::ceil(height / 7));
    const int64_t nx = sampling ? sampling : static_cast<int64_t>(std::ceil(width / 5));
    for (int64_t cell = 0; cell < 35; ++cell) {
      for (int64_t s = 0; s < ny * nx; ++s) {
        const double y = box[1] * scale - shift + height / 7 * (cell / 5 + (s / nx + 0.5) / ny);
        const double x = box[0] * scale - shift + width / 5 * (cell % 5 + (s % nx + 0.5) / nx);
        Sample(y, x, rows, columns, [&](int64_t at, double weight) {
          for (int64_t c = 0; c < channels; ++c) {
            const int64_t from = (offset + at) * channels + c, to = (n * 35 + cell) * channels + c;
            out[to] += weight / (ny * nx) * d.value[from];
            grad[from] += weight / (ny * nx) * d.upstream[to];
          }
        });
      }
    }
  }
  const std::string name = std::to_string(boxes) + " boxes, " + std::to_string(channels) + " channels, sampling " +
                           std::to_string(sampling) + (aligned ? ", aligned" : "");
  dev::Check(name, std::max(dev::Error(d.out, out), dev::Error(d.grad, grad)), 3e-6);
}

void CheckOddBoxes() {
  Data d(1, 4, 3, 6, 0, false);
  const float inf = INFINITY;
  d.level = {0, 0, 0, -5};
  d.boxes = {0, 0, NAN, 4, -inf, 0, 4, 4, -1e30f, -1e30f, 1e30f, 1e30f, NAN, 0, 0, 0};
  d.Forward(Parallel());
  d.Backward(Parallel());
  const auto all = [&](int64_t box, auto good) {
    return std::all_of(d.out.begin() + box * 105, d.out.begin() + (box + 1) * 105, good);
  };
  const bool ok = all(0, [](float v) { return std::isnan(v); }) && all(1, [](float v) { return std::isnan(v); }) &&
                  all(2, [](float v) { return std::isfinite(v); }) && all(3, [](float v) { return v == 0; });
  dev::Check("boxes that are not finite, huge, or on no map", ok ? 0 : 1, 0);
}

void TimeAll() {
  Data d(1, 1000, 256, 200, 0, false);
  for (auto& level : d.level) level = std::max(level, 0) % 2;
  const Parallel parallel = dev::Threads(2);
  const double forward = dev::Milliseconds([&] { d.Forward(parallel); }, 3);
  const double backward = dev::Milliseconds([&] { d.Backward(parallel); }, 3);
  std::printf("time  1000 boxes, 256 channels, 2 threads: forward %.1f ms, backward %.1f ms\n", forward, backward);
}

}  // namespace

int main(int argc, char** argv) {
  if (!dev::StartIsa()) return dev::kLeftOut;
  for (const bool aligned : {false, true}) {
    for (int64_t sampling : {0, 2}) {
      for (int64_t channels : {1, 7, 33, 64}) CheckCase(2, 13, channels, 12, sampling, aligned);
    }
  }
  CheckCase(1, 1, 5, 1, 0, false);
  CheckOddBoxes();
  return dev::Finish(argc, argv, TimeAll);
}
