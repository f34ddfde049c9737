// SPDX-License-Identifier: Apache-2.0
// Times msDeformAttn's CUDA kernels beside other people's and PyTorch, in turn and on the same numbers, after checking
// that all agree. bench/cuda.sh builds and runs it; docs/performance.md says how to read its tables.
//
//   --reference-library PATH   somebody else's kernels (bench/cuda/reference.h); may be given again
//   --torch PYTHON SCRIPT      a Python with PyTorch, and ms_deform_attn_torch.py
//   --torch-device DEVICE      cuda (default) or cpu
//   --out FOLDER               writes cuda_<card>_<date>.json and .md there
//   --command TEXT             how it was called, for the results
//   --only TEXT                only rows with TEXT in "case, samples, type"
//   --rounds N                 measurements of each (10)
//   --cold                     overwrites the L2 cache before every run
//   --smoke                    tiny sizes: tries the program itself
//
// Exit status: 0, 1 where results disagree, 2 for anything else that went wrong.
#include <cstdlib>
#include <functional>
#include <memory>

#include "../csrc/kernels/cuda_library.h"
#include "cuda/agreement.h"
#include "cuda/report.h"
#include "cuda/torch_peer.h"

namespace tfgeo::bench {
namespace {

struct Options {
  std::vector<std::string> references;
  std::string python, script, device = "cuda", out, only, command;
  int rounds = 10;
  bool cold = false, smoke = false;
};

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    auto next = [&]() -> std::string {
      if (i + 1 >= argc) throw std::runtime_error(flag + " needs a value");
      return argv[++i];
    };
    if (flag == "--reference-library") options.references.push_back(next());
    else if (flag == "--torch") options.python = next(), options.script = next();
    else if (flag == "--torch-device") options.device = next();
    else if (flag == "--out") options.out = next();
    else if (flag == "--only") options.only = next();
    else if (flag == "--command") options.command = next();
    else if (flag == "--rounds") options.rounds = std::atoi(next().c_str());
    else if (flag == "--cold") options.cold = true;
    else if (flag == "--smoke") options.smoke = true;
    else throw std::runtime_error("unknown flag " + flag);
  }
  if (options.rounds < 1) throw std::runtime_error("--rounds takes a whole number of at least 1");
  return options;
}

// What is timed against each other: a name, and a function that gives the microseconds of one run.
struct Contestant {
  std::string name;
  std::function<double()> measure;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    report_.card = Card::Current();
    report_.cold = options.cold;
    report_.command = options.command;
    if (options.cold) report_.command += " --cold";
    if (options.rounds != Options().rounds) report_.command += " --rounds " + std::to_string(options.rounds);
    report_.targets = tfgeo_cuda_targets();
    char text[512];
    if (tfgeo_cuda_check_device({text, sizeof(text)}) != TFGEO_OK) throw std::runtime_error(text);
    Try(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    watch_ = std::make_unique<Stopwatch>(stream_, report_.card, options.cold);
    for (const std::string& path : options.references) {
      libraries_.push_back(std::make_unique<ReferenceLibrary>(path));
      report_.references.push_back(libraries_.back()->Name());
    }
    if (!options.python.empty()) {
      torch_ = std::make_unique<TorchPeer>(options.python, options.script, options.device);
      report_.torch = torch_->version();
    }
  }

  int Run() {
    for (const DeformCase& sizes : options_.smoke ? SmokeCases() : Cases()) {
      for (const bool local : {false, true}) {
        for (const TfgeoType type : {TFGEO_FLOAT32, TFGEO_FLOAT16, TFGEO_BFLOAT16}) RunOne(sizes, local, type);
      }
    }
    if (report_.rows.empty()) throw std::runtime_error("no case has \"" + options_.only + "\" in its name");
    std::printf("\n%s\n", Markdown(report_).c_str());
    for (const std::string& row : Lost(report_)) std::printf("slower than the reference: %s\n", row.c_str());
    for (const std::string& row : disagreements_) std::printf("DISAGREE  %s\n", row.c_str());
    if (!disagreements_.empty()) return 1;
    if (!options_.out.empty() && options_.only.empty())
      std::printf("wrote %s.{json,md}\n", WriteReport(report_, options_.out).c_str());
    return 0;
  }

 private:
  void RunOne(const DeformCase& sizes, bool local, TfgeoType type) {
    const std::string places = local ? "local" : "uniform";
    const std::string name = std::string(sizes.name) + ", " + places + ", " + NameOf(type);
    if (name.find(options_.only) == std::string::npos) return;
    const Data data = MakeData(sizes, local, type);
    const Workload work(sizes, data, type, stream_);
    with_torch_ = torch_ != nullptr;
    WithTorch(name, [&] { torch_->Load(sizes, data, type); });
    const size_t before = disagreements_.size();
    Agree(name, sizes, data, work, type);
    if (disagreements_.size() > before) return;  // the time of a wrong result says nothing
    Row row = {sizes.name, places, NameOf(type), "", 0, 0, {}};
    for (const bool backward : {false, true}) {
      row.direction = backward ? "backward" : "forward";
      row.least_bytes = LeastBytes(sizes, type, backward);
      row.gathered_bytes = GatheredBytes(sizes, type, backward);
      row.times = Race(Contestants(work, type, backward));
      report_.rows.push_back(row);
    }
    report_.rows.push_back(Both(report_.rows[report_.rows.size() - 2], report_.rows.back()));
    std::printf("%s: %s and %s us\n", name.c_str(), Microseconds(report_.rows[report_.rows.size() - 3].Of("located")).c_str(),
                Microseconds(report_.rows[report_.rows.size() - 2].Of("located")).c_str());
    std::fflush(stdout);
  }

  // PyTorch needs far more memory than the others: a case that is too large for it goes on without.
  template <typename F>
  void WithTorch(const std::string& what, const F& work) {
    if (!with_torch_) return;
    try {
      work();
    } catch (const std::runtime_error& error) {
      with_torch_ = false;
      std::printf("%s: left out, %s\n", what.c_str(), error.what());
    }
  }

  // ---- agreement ----

  void Agree(const std::string& name, const DeformCase& sizes, const Data& data, const Workload& work,
             TfgeoType type) {
    const Results located = OnCpu(sizes, data, false);
    for (const bool raw : {false, true}) {
      work.Poison();
      work.Forward(raw);
      work.Backward(raw);
      Record(name + (raw ? ": raw" : ": located"),
             Compare(work.Read(false), raw ? OnCpu(sizes, data, true) : located, type, false));
    }
    for (const auto& library : libraries_) {
      if (!library->supports(type)) continue;
      const bool narrow = type != TFGEO_FLOAT32;
      work.Clear();
      work.Forward(*library);
      work.Backward(*library);
      Record(name + ": " + library->Name(), Compare(work.Read(narrow), located, type, narrow));
    }
    if (type != TFGEO_FLOAT32) return;
    WithTorch(name, [&] {
      torch_->Save();
      Record(name + ": torch", Compare({torch_->Result("output"), torch_->Result("grad_value"), {},
                                        torch_->Result("grad_locations"), torch_->Result("grad_weights")},
                                       located, type, false));
    });
  }

  void Record(const std::string& name, const std::vector<Difference>& differences) {
    for (const Difference& d : differences) {
      if (d.value <= d.most) continue;
      disagreements_.push_back(name + ", " + d.tensor + ": " + Format("%.2g", d.value) + ", may be " +
                               Format("%.2g", d.most));
    }
    report_.differences[name] = differences;
  }

  // ---- time ----

  std::vector<Contestant> Contestants(const Workload& work, TfgeoType type, bool backward) {
    std::vector<Contestant> all;
    auto add = [&](const std::string& name, std::function<void()> run) {
      const int runs = watch_->RunsFor(run);
      all.push_back({name, [this, run, runs] { return watch_->Time(run, runs); }});
    };
    for (const bool raw : {false, true})
      add(raw ? "raw" : "located", [&work, raw, backward] { backward ? work.Backward(raw) : work.Forward(raw); });
    for (const auto& library : libraries_) {
      if (!library->supports(type)) continue;
      const ReferenceLibrary& other = *library;
      add(other.Name(), [&work, &other, backward] { backward ? work.Backward(other) : work.Forward(other); });
    }
    // Backward is timed with the forward pass before it, which PyTorch cannot leave out.
    const char* what = backward ? "step" : "forward";
    WithTorch(what, [&] {
      torch_->Time(what, 3);
      all.push_back({backward ? "torch step" : "torch", [this, what] { return Median(torch_->Time(what, 3)); }});
    });
    return all;
  }

  std::map<std::string, Times> Race(const std::vector<Contestant>& contestants) const {
    std::map<std::string, Times> times;
    for (int round = 0; round < options_.rounds; ++round) {
      for (const Contestant& contestant : contestants) times[contestant.name].push_back(contestant.measure());
    }
    return times;
  }

  static Row Both(const Row& forward, Row& backward) {
    Row both = backward;
    both.direction = "forward + backward";
    both.least_bytes += forward.least_bytes;
    both.gathered_bytes += forward.gathered_bytes;
    both.times.clear();
    for (const auto& [name, times] : forward.times) {
      if (name != "torch") both.times[name] = {Median(times) + backward.Of(name)};
    }
    if (backward.times.count("torch step")) both.times["torch"] = backward.times["torch step"];
    backward.times.erase("torch step");
    return both;
  }

  Options options_;
  Report report_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Stopwatch> watch_;
  std::vector<std::unique_ptr<ReferenceLibrary>> libraries_;
  std::unique_ptr<TorchPeer> torch_;
  bool with_torch_ = false;  // for the case at hand
  std::vector<std::string> disagreements_;
};

}  // namespace
}  // namespace tfgeo::bench

int main(int argc, char** argv) {
  try {
    return tfgeo::bench::Bench(tfgeo::bench::Parse(argc, argv)).Run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ms_deform_attn_cuda: %s\n", error.what());
    return 2;
  }
}
