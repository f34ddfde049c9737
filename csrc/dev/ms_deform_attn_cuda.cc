// SPDX-License-Identifier: Apache-2.0
// Checks csrc/kernels/ms_deform_attn.cu through its C interface, on a GPU or with the CPU in its stead:
//
//     common="csrc/dev/ms_deform_attn_cuda.cc csrc/kernels/ms_deform_attn_check.cc"
//     nvcc -std=c++17 -O3 -arch=native -DTFGEO_CUDA_TARGETS='"native"' $common csrc/kernels/*.cu -o check_cuda
//     g++ -std=c++17 -O2 -Wno-unknown-pragmas -DTFGEO_CUDA_TARGETS='"the CPU"' -I csrc/dev/cuda_shim $common
//         csrc/dev/cuda_shim/[!s]*.cc -x c++ csrc/kernels/*.cu -o check_cuda
//
//     check_cuda check          random cases against the definition, values that are not finite, refused arguments
//     check_cuda fixtures DIR   golden vectors: DIR/msda or DIR holds their manifest.json
//     check_cuda missing        the library must refuse this card and say what to do
//
// Exit code: 0 = all is well, 1 = a check failed, 3 = there is no CUDA device.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <limits>

#include "../kernels/cuda_library.h"
#include "dev.h"
#include "ms_deform_attn_device.h"
#include "safetensors.h"

namespace {

using namespace tfgeo::dev;

constexpr TfgeoType kTypes[] = {TFGEO_FLOAT32, TFGEO_FLOAT64, TFGEO_FLOAT16, TFGEO_BFLOAT16};

// Largest error that rounding explains, of values and of sums over samples, relative to the largest result.
double ValueTolerance(TfgeoType type) {
  return type == TFGEO_FLOAT64 ? 1e-12 : type == TFGEO_FLOAT32 ? 1e-5 : type == TFGEO_FLOAT16 ? 1e-3 : 5e-3;
}
double SampleTolerance(TfgeoType type) { return type == TFGEO_FLOAT64 ? 1e-12 : 2e-5; }

void Fail(const std::string& what, const std::string& why) {
  ++failures;
  std::printf("FAIL  %s: %s\n", what.c_str(), why.c_str());
}

// What was expected to be found, found or not.
void Expect(bool right, const std::string& what, const std::string& found = "") {
  if (right) {
    std::printf("ok    %s\n", what.c_str());
  } else {
    Fail(what, found);
  }
}

DeformData MakeData(const DeformCase& c, TfgeoType type, uint32_t seed) {
  return RandomData(
      c, seed, [type](double x) { return RoundTo(type, x); },
      [type](double x) { return RoundTo(SampleType(type), x); });
}

// ---- against the definition ----

void CheckCase(const DeformCase& c, TfgeoType type, size_t shift, const std::string& name) {
  DeformData want = MakeData(c, type, 7), got = want;
  Define(c, want);
  const std::string error = DeviceDeform(c, type, shift).Run(&got);
  if (!error.empty()) return Fail(name, error);
  const double values = std::max(Error(got.output, want.output), Error(got.grad_value, want.grad_value));
  const double samples = std::max({Error(got.grad_reference, want.grad_reference),
                                   Error(got.grad_positions, want.grad_positions),
                                   Error(got.grad_scores, want.grad_scores)});
  Check(name + ", values", values, ValueTolerance(type));
  Check(name + ", samples", samples, SampleTolerance(type));
}

std::string Form(int64_t reference_size) {
  return reference_size == 0 ? "located" : reference_size == 2 ? "raw, points" : "raw, boxes";
}

void CheckCases() {
  for (const DeformCase& c : DeformCases()) {
    for (const int64_t reference_size : {0, 2, 4}) {
      for (const TfgeoType type : kTypes) {
        CheckCase(c.Raw(reference_size), type, 0,
                  std::string(c.name) + ", " + Form(reference_size) + ", " + TypeName(type));
      }
    }
  }
  const DeformCase shifted{"dim 16", 1, 9, 2, 3, 16, {5, 4, 2, 2}};
  for (const TfgeoType type : kTypes) {
    CheckCase(shifted, type, 1, std::string("off by one element, ") + TypeName(type));
  }
  DeformCase most{"64 levels", 1, 3, 1, 1, 4, std::vector<int32_t>(128, 1)};
  most.levels[127] = 7;
  CheckCase(most, TFGEO_FLOAT32, 0, most.name);
}

// Gradients that are not asked for are left alone, and the others do not change.
void CheckWanted() {
  const DeformCase c = DeformCase{"some gradients", 1, 9, 2, 2, 16, {5, 4, 2, 2}}.Raw(4);
  DeformData all = MakeData(c, TFGEO_BFLOAT16, 3);
  Define(c, all);
  for (int bit = 0; bit < 4; ++bit) {
    for (const bool only : {true, false}) {
      const Wanted wanted = {(bit == 0) == only, (bit == 1) == only, (bit == 2) == only, (bit == 3) == only};
      DeformData got = all;
      const std::string error = DeviceDeform(c, TFGEO_BFLOAT16).Run(&got, wanted);
      const auto wrong = [](bool is_wanted, const std::vector<double>& grad, const std::vector<double>& want) {
        const bool untouched = std::all_of(grad.begin(), grad.end(), [](double x) { return std::isnan(x); });
        return is_wanted ? !(Error(grad, want) <= 5e-3) : !untouched;
      };
      const int faults = wrong(wanted.value, got.grad_value, all.grad_value) +
                         wrong(wanted.reference, got.grad_reference, all.grad_reference) +
                         wrong(wanted.positions, got.grad_positions, all.grad_positions) +
                         wrong(wanted.scores, got.grad_scores, all.grad_scores);
      Expect(error.empty() && faults == 0,
             std::string(only ? "only" : "all but") + " gradient " + std::to_string(bit), error);
    }
  }
}

// ---- values that are not finite ----

const double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

// Outputs of the queries and heads in `nan` are NaN, all others are as without the change.
void CheckSpread(const std::string& what, const DeformCase& c, TfgeoType type, const DeformData& changed,
                 const std::function<bool(int64_t query, int64_t head)>& nan, const DeformData& plain) {
  DeformData got = changed;
  const std::string error = DeviceDeform(c, type).Run(&got);
  if (!error.empty()) return Fail(what, error);
  int wrong = 0;
  for (size_t i = 0; i < got.output.size(); ++i) {
    const auto row = static_cast<int64_t>(i) / c.dim;
    const bool must = nan(row / c.heads, row % c.heads);
    if (must != std::isnan(got.output[i])) ++wrong;
    if (!must && std::fabs(got.output[i] - plain.output[i]) > ValueTolerance(type)) ++wrong;
  }
  for (size_t i = 0; i < got.grad_scores.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) / (c.points * c.Levels());
    if (!nan(row / c.heads, row % c.heads) && std::isnan(got.grad_scores[i])) ++wrong;
  }
  Expect(wrong == 0, what, std::to_string(wrong) + " elements are wrong");
}

void CheckLocatedNotFinite(TfgeoType type) {
  const DeformCase c{"not finite", 1, 8, 2, 2, 30, {4, 5, 2, 3}, 0.1, 0.9};
  const int64_t per_head = c.points * c.Levels(), per_query = c.heads * per_head;
  const DeformData plain = MakeData(c, type, 5);
  DeformData changed = plain, outside = plain;
  changed.positions[0] = kNan;                             // query 0, head 0
  changed.scores[per_query + per_head] = kNan;             // query 1, head 1
  changed.positions[2 * (2 * per_query)] = kInfinity;      // the others lie outside and add nothing
  changed.positions[2 * (3 * per_query) + 1] = -kInfinity;
  changed.positions[2 * (4 * per_query)] = 1e30;
  changed.positions[2 * (5 * per_query)] = -3;
  changed.positions[2 * (6 * per_query) + 1] = -1e38;
  changed.scores[5 * per_query] = kInfinity;               // whatever their weight
  for (int64_t q = 2; q <= 6; ++q) outside.scores[q * per_query] = 0;
  Define(c, outside);
  const auto nan = [](int64_t query, int64_t head) { return (query == 0 && head == 0) || (query == 1 && head == 1); };
  CheckSpread(std::string("NaN and infinity, located, ") + TypeName(type), c, type, changed, nan, outside);
}

void CheckRawNotFinite(TfgeoType type, int64_t reference_size) {
  const DeformCase c = DeformCase{"not finite", 1, 8, 2, 2, 16, {4, 5, 2, 3}, 0.2, 0.8}.Raw(reference_size);
  const int64_t per_head = c.points * c.Levels(), per_query = c.heads * per_head;
  DeformData plain = MakeData(c, type, 6), changed = plain;
  changed.positions[0] = kNan;                              // query 0, head 0
  changed.scores[per_query + per_head] = kNan;              // query 1, head 1
  changed.reference[2 * c.Levels() * reference_size] = kNan;  // query 2, all heads
  changed.scores[3 * per_query] = kInfinity;                // query 3, head 0: a softmax with infinity has no value
  changed.scores[4 * per_query] = -kInfinity;               // weight 0
  plain.scores[4 * per_query] = -1e4;
  for (int64_t i = 0; i < per_head; ++i) changed.scores[5 * per_query + i] = -kInfinity;  // query 5, head 0
  changed.scores[6 * per_query] += 1e30;                    // takes all the weight
  plain.scores[6 * per_query] += 1e4;
  Define(c, plain);
  const auto nan = [](int64_t query, int64_t head) {
    return query == 2 || ((query == 0 || query == 3 || query == 5) && head == 0) || (query == 1 && head == 1);
  };
  CheckSpread("NaN and infinity, " + Form(reference_size) + ", " + TypeName(type), c, type, changed, nan, plain);
}

// ---- refused arguments ----

void CheckRefused(const std::string& what, TfgeoType type, const TfgeoMsDeformAttnShape& shape, const char* part,
                  void* pointer) {
  const TfgeoMsDeformAttnSamples samples = {pointer, pointer, pointer};
  const TfgeoMsDeformAttnGrads grads = {pointer, pointer, pointer, pointer};
  char forward[512] = "", backward[512] = "";
  const TfgeoCode code = tfgeo_cuda_ms_deform_attn(type, &shape, pointer, &samples, pointer, nullptr,
                                                   {forward, sizeof(forward)});
  const TfgeoCode grad = tfgeo_cuda_ms_deform_attn_grad(type, &shape, pointer, pointer, &samples, &grads, pointer,
                                                        nullptr, {backward, sizeof(backward)});
  Expect(code == TFGEO_INVALID_ARGUMENT && grad == TFGEO_INVALID_ARGUMENT &&
             std::string(forward).find(part) != std::string::npos && std::string(backward) == forward,
         "refused: " + what, std::string(forward) + " / " + backward);
}

void CheckAllRefused() {
  DeviceErrors errors;
  const DeviceArray array(256, &errors);
  void* p = array.get();
  const std::vector<int32_t> levels = {2, 3, 1, 1}, none = {2, 3, 0, 1}, negative = {2, 3, -1, -1};
  const std::vector<int32_t> large = {1 << 15, 1 << 15}, overflow = {INT32_MAX, INT32_MAX};
  const std::vector<int32_t> many(130, 1);
  const TfgeoMsDeformAttnShape good = {1, 7, 1, 4, 2, 1, 1, 0, levels.data()};
  const auto with = [&](const std::function<void(TfgeoMsDeformAttnShape&)>& change) {
    TfgeoMsDeformAttnShape shape = good;
    change(shape);
    return shape;
  };
  CheckRefused("an unknown type", static_cast<TfgeoType>(9), good, "type 9", p);
  CheckRefused("no batch", TFGEO_FLOAT32, with([](auto& s) { s.batch = 0; }), "batch", p);
  CheckRefused("negative heads", TFGEO_FLOAT32, with([](auto& s) { s.heads = -2; }), "heads", p);
  CheckRefused("no channels", TFGEO_FLOAT16, with([](auto& s) { s.dim = 0; }), "dim", p);
  CheckRefused("a sum that is not the length", TFGEO_FLOAT32, with([](auto& s) { s.length = 8; }), "sum of H * W", p);
  CheckRefused("an empty level", TFGEO_FLOAT32, with([&](auto& s) { s.spatial_shapes = none.data(); }), "level 1", p);
  CheckRefused("a negative level", TFGEO_FLOAT32, with([&](auto& s) { s.spatial_shapes = negative.data(); }),
               "level 1", p);
  CheckRefused("reference points of 3 numbers", TFGEO_FLOAT32, with([](auto& s) { s.reference_size = 3; }),
               "reference points", p);
  CheckRefused("2^31 elements", TFGEO_FLOAT32, with([&](auto& s) {
                 s = {1, 1 << 30, 1, 2, 1, 1, 1, 0, large.data()};
               }),
               "2^31", p);
  CheckRefused("a level beyond all bounds", TFGEO_FLOAT32, with([&](auto& s) {
                 s = {1, 7, 1, 4, 1, 1, 1, 0, overflow.data()};
               }),
               "sum of H * W", p);
  CheckRefused("65 levels", TFGEO_FLOAT64, with([&](auto& s) { s = {1, 65, 1, 4, 65, 1, 1, 0, many.data()}; }),
               "64 levels", p);
  CheckRefused("null pointers", TFGEO_FLOAT32, good, "", nullptr);
}

// ---- a card that the library was not built for ----

void CheckMissing() {
  const DeformCase c = DeformCases()[0];
  DeformData d = MakeData(c, TFGEO_FLOAT32, 1);
  char sentence[512] = "";
  const TfgeoCode code = tfgeo_cuda_check_device({sentence, sizeof(sentence)});
  const std::string text(sentence);
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  const auto says = [&](const std::string& part) { return text.find(part) != std::string::npos; };
  Expect(code == TFGEO_NO_GPU_CODE, "no code for the card is an error of its own", std::to_string(code));
  Expect(says("sm_" + std::to_string(major) + std::to_string(minor)), "it names the card's architecture", text);
  Expect(says(tfgeo_cuda_targets()), "it names what the library was built for", text);
  Expect(says("tfgeo-train setup"), "it names the command that fixes it", text);
  const std::string error = DeviceDeform(c, TFGEO_FLOAT32).Run(&d);
  Expect(error == text, "the operator says the same", error);
  Expect(cudaGetLastError() == cudaSuccess, "no error stays behind");
}

// ---- golden vectors ----

DeformCase CaseOf(const Json& entry) {
  const Json& config = entry.at("config");
  const auto size = [&](const char* name) { return static_cast<int64_t>(config.at(name).number); };
  DeformCase c{"", size("batch"), size("queries"), size("heads"), size("points"), size("dim"), {}};
  for (const Json& level : config.at("levels").array) {
    for (const Json& side : level.array) c.levels.push_back(static_cast<int32_t>(side.number));
  }
  return c;
}

void CheckFixture(const std::string& folder, const Json& entry, TfgeoType type) {
  const DeformCase c = CaseOf(entry);
  auto stored = ReadSafetensors(folder + "/" + entry.at("files").array.at(0).string);
  DeformData d;
  d.value = stored.at("in/value").data;
  d.positions = stored.at("in/sampling_locations").data;
  d.scores = stored.at("in/attention_weights").data;
  d.upstream = stored.at("in/upstream").data;
  const std::string name = entry.at("name").string + ", " + TypeName(type) + ": ";
  const std::string error = DeviceDeform(c, type).Run(&d);
  if (!error.empty()) return Fail(name, error);
  const std::pair<const char*, const std::vector<double>*> results[] = {{"out/output", &d.output},
                                                                        {"grad/value", &d.grad_value},
                                                                        {"grad/sampling_locations", &d.grad_positions},
                                                                        {"grad/attention_weights", &d.grad_scores}};
  for (const auto& [result, got] : results) {
    const std::vector<double>& want = stored.at(result).data;
    const bool masked = got == &d.grad_positions;
    double worst = want.size() == got->size() ? 0 : kInfinity;
    for (size_t i = 0; i < got->size() && i < want.size(); ++i) {
      if (masked && stored.at("in/loc_grad_ok").data[i] == 0) continue;
      const double error_here = std::fabs((*got)[i] - want[i]);
      if (!(error_here <= worst)) worst = error_here;
    }
    Check(name + result, worst, entry.at("tensors").at(result).at("tol").number);
  }
}

void CheckFixtures(const std::string& dir) {
  const bool nested = std::ifstream(dir + "/msda/manifest.json").good();
  const std::string folder = nested ? dir + "/msda" : dir;
  int left_out = 0, compared = 0;
  const Json manifest = ParseJson(ReadFile(folder + "/manifest.json"));
  for (const Json& entry : manifest.at("cases").array) {
    if (entry.has("kind") && entry.at("kind").string != "core") {
      ++left_out;
      continue;
    }
    ++compared;
    for (const TfgeoType type : {TFGEO_FLOAT32, TFGEO_FLOAT64}) CheckFixture(folder, entry, type);
  }
  std::printf("%d golden cases of the operator compared; %d of the module around it need the library\n", compared,
              left_out);
  Expect(compared > 0, "there are golden cases");
}

// ---- commands ----

bool HasDevice() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) {
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, 0);
    std::printf("%s, sm_%d%d; kernels for %s\n", properties.name, properties.major, properties.minor,
                tfgeo_cuda_targets());
    return true;
  }
  std::printf("there is no CUDA device here: %s\n", status == cudaSuccess ? "none found" : cudaGetErrorString(status));
  return false;
}

void CheckEverything() {
#ifdef TFGEO_CUDA_SHIM
  // First, because the library asks a card only once.
  setenv("TFGEO_SHIM_NO_CODE", "1", 1);
  CheckMissing();
  unsetenv("TFGEO_SHIM_NO_CODE");
#endif
  CheckAllRefused();
  CheckCases();
  CheckWanted();
  for (const TfgeoType type : kTypes) {
    CheckLocatedNotFinite(type);
    CheckRawNotFinite(type, 2);
    CheckRawNotFinite(type, 4);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const bool known = (argc == 2 && (command == "check" || command == "missing")) || (argc == 3 && command == "fixtures");
  if (!known) {
    std::fprintf(stderr, "usage: %s check | fixtures DIR | missing\n", argv[0]);
    return 2;
  }
  if (!HasDevice()) return 3;
  try {
    if (command == "check") CheckEverything();
    if (command == "missing") CheckMissing();
    if (command == "fixtures") CheckFixtures(argv[2]);
  } catch (const std::exception& error) {
    Fail(command, error.what());
  }
  if (failures) std::printf("%d checks failed\n", failures);
  return failures ? 1 : 0;
}
