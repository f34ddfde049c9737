// SPDX-License-Identifier: Apache-2.0
// Runs the CPU kernels of multi-scale deformable attention on a case, in any type and in guarded memory.
#ifndef TFGEO_DEV_MS_DEFORM_ATTN_CALL_H_
#define TFGEO_DEV_MS_DEFORM_ATTN_CALL_H_

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "element_types.h"
#include "guarded.h"
#include "ms_deform_attn_definition.h"

namespace tfgeo::dev {

// ---- threads ----

inline TfgeoThreads CThreads(const Parallel& parallel) {
  const auto run = [](void* pool, int64_t total, int64_t block, void (*fn)(void*, int64_t, int64_t), void* context) {
    static_cast<const Parallel*>(pool)->run(total, block,
                                            [&](int64_t begin, int64_t end) { fn(context, begin, end); });
  };
  return {parallel.threads, const_cast<Parallel*>(&parallel), run};
}

// ---- calls ----

// The tensors of a case as the C interface wants them; results are NaN until they are written.
class DeformCall {
 public:
  using Side = Guarded::Side;

  DeformCall(const DeformCase& c, const DeformData& d, TfgeoType type, Side side = Guarded::kBack)
      : c_(c), shape_(c_.Shape()), type_(type) {
    const TfgeoType sample = SampleType(type);
    value_ = Filled(type, d.value, side);
    upstream_ = Filled(type, d.upstream, side);
    positions_ = Filled(sample, d.positions, side);
    scores_ = Filled(sample, d.scores, side);
    reference_ = Filled(sample, d.reference, side);
    output_ = Room(type, c.OutputSize(), side);
    grad_value_ = Room(type, c.ValueSize(), side);
    grad_positions_ = Room(sample, 2 * c.Samples(), side);
    grad_scores_ = Room(sample, c.Samples(), side);
    grad_reference_ = Room(sample, c.ReferenceSize(), side);
  }

  // Which gradients are asked for.
  bool want_value = true, want_reference = true, want_positions = true, want_scores = true;
  char text[512] = "";  // the error

  TfgeoCode Forward(const Parallel& parallel) {
    const TfgeoThreads threads = CThreads(parallel);
    const TfgeoMsDeformAttnSamples samples = Samples();
    return tfgeo_ms_deform_attn(type_, &shape_, value_->get(), &samples, output_->get(), &threads,
                                {text, sizeof(text)});
  }

  TfgeoCode Backward(const Parallel& parallel) {
    const TfgeoThreads threads = CThreads(parallel);
    const TfgeoMsDeformAttnSamples samples = Samples();
    const TfgeoMsDeformAttnGrads grads = {want_value ? grad_value_->get() : nullptr,
                                          want_reference && c_.reference_size ? grad_reference_->get() : nullptr,
                                          want_positions ? grad_positions_->get() : nullptr,
                                          want_scores ? grad_scores_->get() : nullptr};
    return tfgeo_ms_deform_attn_grad(type_, &shape_, upstream_->get(), value_->get(), &samples, &grads, &threads,
                                     {text, sizeof(text)});
  }

  // Copies the results into `d`.
  void Read(DeformData& d) const {
    const TfgeoType sample = SampleType(type_);
    d.output = Numbers(type_, *output_);
    d.grad_value = Numbers(type_, *grad_value_);
    d.grad_positions = Numbers(sample, *grad_positions_);
    d.grad_scores = Numbers(sample, *grad_scores_);
    d.grad_reference = Numbers(sample, *grad_reference_);
  }

  bool Intact() const {
    for (const auto* tensor : {&value_, &upstream_, &positions_, &scores_, &reference_, &output_, &grad_value_,
                               &grad_positions_, &grad_scores_, &grad_reference_}) {
      if (!(*tensor)->Intact()) return false;
    }
    return true;
  }

 private:
  using Tensor = std::unique_ptr<Guarded>;

  static Tensor Room(TfgeoType type, int64_t count, Side side) {
    return std::make_unique<Guarded>(static_cast<size_t>(count) * TypeSize(type), side);
  }
  static Tensor Filled(TfgeoType type, const std::vector<double>& numbers, Side side) {
    Tensor tensor = Room(type, static_cast<int64_t>(numbers.size()), side);
    const std::vector<unsigned char> bytes = EncodeAll(type, numbers);
    std::copy(bytes.begin(), bytes.end(), static_cast<unsigned char*>(tensor->get()));
    return tensor;
  }
  static std::vector<double> Numbers(TfgeoType type, const Guarded& tensor) {
    const auto* bytes = static_cast<const unsigned char*>(tensor.get());
    return DecodeAll(type, std::vector<unsigned char>(bytes, bytes + tensor.size()));
  }
  TfgeoMsDeformAttnSamples Samples() const {
    return {c_.reference_size ? reference_->get() : nullptr, positions_->get(), scores_->get()};
  }

  DeformCase c_;
  TfgeoMsDeformAttnShape shape_;
  TfgeoType type_;
  Tensor value_, upstream_, positions_, scores_, reference_;
  Tensor output_, grad_value_, grad_positions_, grad_scores_, grad_reference_;
};

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_MS_DEFORM_ATTN_CALL_H_
