// SPDX-License-Identifier: Apache-2.0
// Calls the CUDA kernels of deformable attention with data in double precision and brings the results back.
#ifndef TFGEO_DEV_MS_DEFORM_ATTN_DEVICE_H_
#define TFGEO_DEV_MS_DEFORM_ATTN_DEVICE_H_

#include <memory>
#include <string>

#include "device_array.h"
#include "element_types.h"
#include "ms_deform_attn_definition.h"

namespace tfgeo::dev {

// A tensor of a call: on the device in the type of the kernels.
class DeviceTensor {
 public:
  DeviceTensor(TfgeoType type, size_t count, DeviceErrors* errors, size_t shift)
      : type_(type), count_(count), array_(count * TypeSize(type), errors, shift * TypeSize(type)) {}

  void Set(const std::vector<double>& values) { array_.Upload(EncodeAll(type_, values).data()); }
  // Every element must be written: what is not stays NaN.
  void Poison() { array_.Poison(); }
  std::vector<double> Get() const {
    std::vector<unsigned char> bytes(count_ * TypeSize(type_));
    array_.Download(bytes.data());
    return DecodeAll(type_, bytes);
  }
  void* get() const { return array_.get(); }

 private:
  TfgeoType type_;
  size_t count_;
  DeviceArray array_;
};

// Which gradients are asked for.
struct Wanted {
  bool value = true, reference = true, positions = true, scores = true;
};

class DeviceDeform {
 public:
  // `shift`: elements by which the tensors miss the alignment of an allocation; pairs of coordinates stay aligned.
  DeviceDeform(const DeformCase& c, TfgeoType type, size_t shift = 0)
      : case_(c), type_(type), errors_(), value_(Make(type, c.ValueSize(), shift)),
        reference_(Make(SampleType(type), c.ReferenceSize(), shift)),
        positions_(Make(SampleType(type), 2 * c.Samples(), 2 * shift)),
        scores_(Make(SampleType(type), c.Samples(), shift)), upstream_(Make(type, c.OutputSize(), shift)),
        output_(Make(type, c.OutputSize(), shift)), grad_value_(Make(type, c.ValueSize(), shift)),
        grad_reference_(Make(SampleType(type), c.ReferenceSize(), shift)),
        grad_positions_(Make(SampleType(type), 2 * c.Samples(), 2 * shift)),
        grad_scores_(Make(SampleType(type), c.Samples(), shift)) {
    errors_.Note(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  ~DeviceDeform() { cudaStreamDestroy(stream_); }
  DeviceDeform(const DeviceDeform&) = delete;
  DeviceDeform& operator=(const DeviceDeform&) = delete;

  // Runs both directions and fills the results of `d` in. Gives the error, or an empty string.
  std::string Run(DeformData* d, const Wanted& wanted = {}) {
    value_->Set(d->value);
    reference_->Set(d->reference);
    positions_->Set(d->positions);
    scores_->Set(d->scores);
    upstream_->Set(d->upstream);
    for (auto* tensor : {&output_, &grad_value_, &grad_reference_, &grad_positions_, &grad_scores_}) {
      (*tensor)->Poison();
    }
    errors_.Note(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    if (!errors_.text().empty()) return errors_.text();
    std::string sentence = Forward();
    if (sentence.empty()) sentence = Backward(wanted);
    if (!sentence.empty()) return sentence;
    errors_.Note(cudaStreamSynchronize(stream_), "the kernels");
    d->output = output_->Get();
    d->grad_value = grad_value_->Get();
    d->grad_reference = grad_reference_->Get();
    d->grad_positions = grad_positions_->Get();
    d->grad_scores = grad_scores_->Get();
    return errors_.text();
  }

 private:
  std::unique_ptr<DeviceTensor> Make(TfgeoType type, int64_t count, size_t shift) {
    return std::make_unique<DeviceTensor>(type, static_cast<size_t>(count), &errors_, shift);
  }

  TfgeoMsDeformAttnSamples Samples() const { return {reference_->get(), positions_->get(), scores_->get()}; }

  std::string Forward() {
    char sentence[512] = "";
    const TfgeoMsDeformAttnShape shape = case_.Shape();
    const TfgeoMsDeformAttnSamples samples = Samples();
    const TfgeoCode code = tfgeo_cuda_ms_deform_attn(type_, &shape, value_->get(), &samples, output_->get(), stream_,
                                                     {sentence, sizeof(sentence)});
    return code == TFGEO_OK ? "" : sentence;
  }

  std::string Backward(const Wanted& wanted) {
    char sentence[512] = "";
    const TfgeoMsDeformAttnShape shape = case_.Shape();
    const TfgeoMsDeformAttnSamples samples = Samples();
    const TfgeoMsDeformAttnGrads grads = {wanted.value ? grad_value_->get() : nullptr,
                                          wanted.reference ? grad_reference_->get() : nullptr,
                                          wanted.positions ? grad_positions_->get() : nullptr,
                                          wanted.scores ? grad_scores_->get() : nullptr};
    const DeviceArray scratch(tfgeo_cuda_ms_deform_attn_grad_scratch(type_, &shape), &errors_);
    const TfgeoCode code =
        tfgeo_cuda_ms_deform_attn_grad(type_, &shape, upstream_->get(), value_->get(), &samples, &grads,
                                       scratch.get(), stream_, {sentence, sizeof(sentence)});
    errors_.Note(cudaStreamSynchronize(stream_), "the backward kernel");
    return code == TFGEO_OK ? "" : sentence;
  }

  DeformCase case_;
  TfgeoType type_;
  DeviceErrors errors_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<DeviceTensor> value_, reference_, positions_, scores_, upstream_;
  std::unique_ptr<DeviceTensor> output_, grad_value_, grad_reference_, grad_positions_, grad_scores_;
};

}  // namespace tfgeo::dev

#endif  // TFGEO_DEV_MS_DEFORM_ATTN_DEVICE_H_
