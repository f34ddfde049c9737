// SPDX-License-Identifier: Apache-2.0
#include "ms_deform_attn_check.h"

#include "fail.h"

namespace tfgeo::deform {
namespace {

constexpr int64_t kElements = int64_t{1} << 31;  // a tensor has fewer

TfgeoCode CheckSizes(const TfgeoMsDeformAttnShape& shape, TfgeoError error) {
  const struct {
    const char* name;
    int64_t size;
  } sizes[] = {{"batch", shape.batch},   {"length", shape.length}, {"heads", shape.heads},    {"dim", shape.dim},
               {"levels", shape.levels}, {"points", shape.points}, {"queries", shape.queries}};
  for (const auto& [name, size] : sizes) {
    if (size >= 1) continue;
    return Fail(error, TFGEO_INVALID_ARGUMENT, "[msDeformAttn] expected a size of at least 1 for %s but received %lld",
                name, static_cast<long long>(size));
  }
  if (shape.reference_size != 0 && shape.reference_size != 2 && shape.reference_size != 4) {
    return Fail(error, TFGEO_INVALID_ARGUMENT,
                "[msDeformAttn] expected 2 or 4, or 0 without them, for the size of reference points but received %lld",
                static_cast<long long>(shape.reference_size));
  }
  return TFGEO_OK;
}

// Sizes are at least 1; stops before a product can overflow.
bool Fits(const int64_t (&sizes)[6]) {
  int64_t elements = 1;
  for (const int64_t size : sizes) {
    if (size > (kElements - 1) / elements) return false;
    elements *= size;
  }
  return true;
}

TfgeoCode CheckTensors(const TfgeoMsDeformAttnShape& s, TfgeoError error) {
  const bool raw = s.reference_size != 0;
  const struct {
    const char* name;
    int64_t sizes[6];
  } tensors[] = {{"value", {s.batch, s.length, s.heads, s.dim, 1, 1}},
                 {"output", {s.batch, s.queries, s.heads, s.dim, 1, 1}},
                 {raw ? "sampling offsets" : "sampling locations",
                  {s.batch, s.queries, s.heads, s.levels, s.points, 2}},  // scores are half as many
                 {"reference points", {s.batch, s.queries, s.levels, raw ? s.reference_size : 1, 1, 1}}};
  for (const auto& [name, sizes] : tensors) {
    if (Fits(sizes)) continue;
    return Fail(error, TFGEO_INVALID_ARGUMENT,
                "[msDeformAttn] expected fewer than 2^31 elements for %s but received %lld x %lld x %lld x %lld x "
                "%lld x %lld",
                name, static_cast<long long>(sizes[0]), static_cast<long long>(sizes[1]),
                static_cast<long long>(sizes[2]), static_cast<long long>(sizes[3]), static_cast<long long>(sizes[4]),
                static_cast<long long>(sizes[5]));
  }
  return TFGEO_OK;
}

TfgeoCode CheckLevels(const TfgeoMsDeformAttnShape& shape, TfgeoError error) {
  int64_t sum = 0;
  for (int64_t l = 0; l < shape.levels && sum <= shape.length; ++l) {
    const int64_t height = shape.spatial_shapes[2 * l], width = shape.spatial_shapes[2 * l + 1];
    if (height < 1 || width < 1) {
      return Fail(error, TFGEO_INVALID_ARGUMENT,
                  "[msDeformAttn] expected positive (H, W) for level %lld of spatial shapes but received (%lld, %lld)",
                  static_cast<long long>(l), static_cast<long long>(height), static_cast<long long>(width));
    }
    sum += height * width;  // below 2^31 + 2^62
  }
  if (sum == shape.length) return TFGEO_OK;
  return Fail(error, TFGEO_INVALID_ARGUMENT,
              "[msDeformAttn] expected a sum of H * W equal to the %lld positions of value for spatial shapes but "
              "received %lld%s",
              static_cast<long long>(shape.length), static_cast<long long>(sum), sum > shape.length ? " or more" : "");
}

TfgeoCode CheckPointer(const char* name, const void* pointer, TfgeoError error) {
  if (pointer != nullptr) return TFGEO_OK;
  return Fail(error, TFGEO_INVALID_ARGUMENT, "[msDeformAttn] expected a pointer for %s but received null", name);
}

TfgeoCode CheckInputs(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                      const TfgeoMsDeformAttnSamples* samples, TfgeoError error) {
  TfgeoCode code = tfgeo_ms_deform_attn_check(type, shape, error);
  if (code == TFGEO_OK) code = CheckPointer("value", value, error);
  if (code == TFGEO_OK) code = CheckPointer("samples", samples, error);
  if (code != TFGEO_OK) return code;
  const bool raw = shape->reference_size != 0;
  code = CheckPointer(raw ? "sampling offsets" : "sampling locations", samples->positions, error);
  if (code == TFGEO_OK) code = CheckPointer(raw ? "attention logits" : "attention weights", samples->scores, error);
  if (code == TFGEO_OK && raw) code = CheckPointer("reference points", samples->reference, error);
  return code;
}

}  // namespace

TfgeoCode CheckForward(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* value,
                       const TfgeoMsDeformAttnSamples* samples, const void* output, TfgeoError error) {
  const TfgeoCode code = CheckInputs(type, shape, value, samples, error);
  return code != TFGEO_OK ? code : CheckPointer("output", output, error);
}

TfgeoCode CheckBackward(TfgeoType type, const TfgeoMsDeformAttnShape* shape, const void* grad_output,
                        const void* value, const TfgeoMsDeformAttnSamples* samples,
                        const TfgeoMsDeformAttnGrads* grads, TfgeoError error) {
  TfgeoCode code = CheckInputs(type, shape, value, samples, error);
  if (code == TFGEO_OK) code = CheckPointer("the output's gradient", grad_output, error);
  return code != TFGEO_OK ? code : CheckPointer("gradients", grads, error);
}

}  // namespace tfgeo::deform

TfgeoCode tfgeo_ms_deform_attn_check(TfgeoType type, const TfgeoMsDeformAttnShape* shape, TfgeoError error) {
  using namespace tfgeo::deform;
  if (type != TFGEO_FLOAT32 && type != TFGEO_FLOAT64 && type != TFGEO_FLOAT16 && type != TFGEO_BFLOAT16) {
    return tfgeo::Fail(error, TFGEO_INVALID_ARGUMENT,
                       "[msDeformAttn] expected float32, float64, float16 or bfloat16 for value but received type %d",
                       static_cast<int>(type));
  }
  TfgeoCode code = CheckPointer("shape", shape, error);
  if (code == TFGEO_OK) code = CheckSizes(*shape, error);
  if (code == TFGEO_OK) code = CheckTensors(*shape, error);
  if (code == TFGEO_OK) code = CheckPointer("spatial shapes", shape->spatial_shapes, error);
  return code != TFGEO_OK ? code : CheckLevels(*shape, error);
}
