// SPDX-License-Identifier: Apache-2.0
// One case on the card: what the kernels read and write, and the calls that are timed.
#ifndef TFGEO_BENCH_CUDA_WORKLOAD_H_
#define TFGEO_BENCH_CUDA_WORKLOAD_H_

#include <cuda_runtime.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "../../csrc/kernels/ms_deform_attn.h"
#include "cases.h"
#include "device.h"
#include "reference_library.h"

namespace tfgeo::bench {

// What a call gives; locations and weights, or offsets and logits, as positions and scores.
struct Results {
  std::vector<float> output, grad_value, grad_reference, grad_positions, grad_scores;
};

class Workload {
 public:
  Workload(const DeformCase& sizes, const Data& data, TfgeoType type, cudaStream_t stream)
      : located_(sizes),
        raw_(sizes.Raw(2)),
        type_(type),
        stream_(stream),
        value_(Encode(type, data.value)),
        upstream_(Encode(type, data.upstream)),
        reference_(Encode(TFGEO_FLOAT32, data.reference)),
        offsets_(Encode(TFGEO_FLOAT32, data.offsets)),
        logits_(Encode(TFGEO_FLOAT32, data.logits)),
        locations_(Encode(TFGEO_FLOAT32, data.locations)),
        weights_(Encode(TFGEO_FLOAT32, data.weights)),
        output_(upstream_.bytes()),
        grad_value_(value_.bytes()),
        grad_reference_(reference_.bytes()),
        grad_positions_(offsets_.bytes()),
        grad_scores_(logits_.bytes()) {
    const TfgeoMsDeformAttnShape shape = located_.Shape();
    const size_t scratch = tfgeo_cuda_ms_deform_attn_grad_scratch(type, &shape);
    if (scratch > 0) scratch_ = Buffer(scratch);
    if (type != TFGEO_FLOAT32) {
      narrow_locations_ = Buffer(Encode(type, data.locations));
      narrow_weights_ = Buffer(Encode(type, data.weights));
    }
    PlaceMaps();
  }

  // ---- ours ----

  void Forward(bool raw) const {
    const TfgeoMsDeformAttnShape shape = (raw ? raw_ : located_).Shape();
    const TfgeoMsDeformAttnSamples samples = Samples(raw);
    char text[512];
    if (tfgeo_cuda_ms_deform_attn(type_, &shape, value_.get(), &samples, output_.get(), stream_,
                                  {text, sizeof(text)}) != TFGEO_OK) {
      throw std::runtime_error(text);
    }
  }

  void Backward(bool raw) const {
    const TfgeoMsDeformAttnShape shape = (raw ? raw_ : located_).Shape();
    const TfgeoMsDeformAttnSamples samples = Samples(raw);
    const TfgeoMsDeformAttnGrads grads = {grad_value_.get(), raw ? grad_reference_.get() : nullptr,
                                          grad_positions_.get(), grad_scores_.get()};
    char text[512];
    if (tfgeo_cuda_ms_deform_attn_grad(type_, &shape, upstream_.get(), value_.get(), &samples, &grads, scratch_.get(),
                                       stream_, {text, sizeof(text)}) != TFGEO_OK) {
      throw std::runtime_error(text);
    }
  }

  // ---- the reference's ----

  void Forward(const ReferenceLibrary& library) const {
    const TfgeoReferenceCall call = ReferenceCall();
    library.Check(library.forward(type_, &call, value_.get(), Locations(), Weights(), output_.get()));
  }

  // With the clearing of the value gradient, which these kernels need as ours do. The other gradients are overwritten by
  // all but one of their kernels; clearing them is left out of the time, in their favour.
  void Backward(const ReferenceLibrary& library) const {
    const TfgeoReferenceCall call = ReferenceCall();
    grad_value_.Clear(stream_);
    library.Check(library.backward(type_, &call, upstream_.get(), value_.get(), Locations(), Weights(),
                                   grad_value_.get(), grad_positions_.get(), grad_scores_.get()));
  }

  // ---- results ----

  // Whatever is not written must show: NaN before ours, the zeros they ask for before the reference's.
  void Poison() const {
    for (const Buffer* buffer : {&output_, &grad_value_, &grad_reference_, &grad_positions_, &grad_scores_}) {
      Try(cudaMemsetAsync(buffer->get(), 0xff, buffer->bytes(), stream_), "cudaMemsetAsync");
    }
  }
  void Clear() const {
    for (const Buffer* buffer : {&output_, &grad_value_, &grad_positions_, &grad_scores_}) buffer->Clear(stream_);
  }

  // `narrow`: samples and their gradients have the type of the values.
  Results Read(bool narrow) const {
    Try(cudaStreamSynchronize(stream_), "a kernel");
    const TfgeoType samples = narrow ? type_ : TFGEO_FLOAT32;
    auto floats = [&](const Buffer& from, TfgeoType type, size_t count) {
      std::vector<unsigned char> bytes = from.Read();
      bytes.resize(count * SizeOf(type));
      return Decode(type, bytes);
    };
    const size_t count = static_cast<size_t>(located_.Samples());
    return {floats(output_, type_, output_.bytes() / SizeOf(type_)),
            floats(grad_value_, type_, grad_value_.bytes() / SizeOf(type_)),
            floats(grad_reference_, TFGEO_FLOAT32, grad_reference_.bytes() / 4),
            floats(grad_positions_, samples, 2 * count), floats(grad_scores_, samples, count)};
  }

 private:
  void PlaceMaps() {
    std::vector<int64_t> numbers(located_.levels.begin(), located_.levels.end());
    int64_t start = 0;
    for (int64_t l = 0; l < located_.Levels(); ++l) {
      numbers.push_back(start);
      start += numbers[static_cast<size_t>(2 * l)] * numbers[static_cast<size_t>(2 * l + 1)];
    }
    std::vector<unsigned char> bytes(numbers.size() * sizeof(int64_t));
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    maps_ = Buffer(bytes);
  }

  TfgeoMsDeformAttnSamples Samples(bool raw) const {
    if (raw) return {reference_.get(), offsets_.get(), logits_.get()};
    return {nullptr, locations_.get(), weights_.get()};
  }
  const void* Locations() const { return (type_ == TFGEO_FLOAT32 ? locations_ : narrow_locations_).get(); }
  const void* Weights() const { return (type_ == TFGEO_FLOAT32 ? weights_ : narrow_weights_).get(); }

  TfgeoReferenceCall ReferenceCall() const {
    const DeformCase& c = located_;
    const int64_t* shapes = static_cast<const int64_t*>(maps_.get());
    auto narrow = [](int64_t n) { return static_cast<int>(n); };
    return {narrow(c.batch),  narrow(c.Length()), narrow(c.heads), narrow(c.dim),          narrow(c.Levels()),
            narrow(c.points), narrow(c.queries),  shapes,          shapes + 2 * c.Levels(), stream_};
  }

  DeformCase located_, raw_;
  TfgeoType type_;
  cudaStream_t stream_;
  Buffer value_, upstream_, reference_, offsets_, logits_, locations_, weights_;
  Buffer output_, grad_value_, grad_reference_, grad_positions_, grad_scores_;
  Buffer scratch_, narrow_locations_, narrow_weights_, maps_;
};

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_WORKLOAD_H_
