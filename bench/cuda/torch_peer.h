// SPDX-License-Identifier: Apache-2.0
// A running ms_deform_attn_torch.py, asked over pipes; its commands stand there.
#ifndef TFGEO_BENCH_CUDA_TORCH_PEER_H_
#define TFGEO_BENCH_CUDA_TORCH_PEER_H_

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cases.h"

namespace tfgeo::bench {

class TorchPeer {
 public:
  TorchPeer(const std::string& python, const std::string& script, const std::string& device) {
    int to[2], from[2];
    char folder[] = "/tmp/tfgeo-bench-XXXXXX";
    if (!mkdtemp(folder)) throw std::runtime_error("cannot make a folder in /tmp");
    folder_ = folder;
    if (pipe(to) != 0 || pipe(from) != 0) throw std::runtime_error("cannot make a pipe");
    signal(SIGPIPE, SIG_IGN);  // a peer that ended is an answer that does not come
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], STDIN_FILENO);
      dup2(from[1], STDOUT_FILENO);
      for (const int end : {to[0], to[1], from[0], from[1]}) close(end);
      execlp(python.c_str(), python.c_str(), script.c_str(), "--device", device.c_str(), nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
    try {
      version_ = Answer("ready");
    } catch (...) {
      End();
      throw;
    }
  }
  TorchPeer(const TorchPeer&) = delete;
  TorchPeer& operator=(const TorchPeer&) = delete;
  ~TorchPeer() { End(); }

  const std::string& version() const { return version_; }

  void Load(const DeformCase& c, const Data& d, TfgeoType type) {
    const std::pair<const char*, const std::vector<float>*> arrays[] = {
        {"value", &d.value}, {"locations", &d.locations}, {"weights", &d.weights}, {"upstream", &d.upstream}};
    for (const auto& [name, values] : arrays) {
      std::ofstream file(folder_ + "/" + name + ".f32", std::ios::binary);
      file.write(reinterpret_cast<const char*>(values->data()), static_cast<std::streamsize>(4 * values->size()));
      if (!file.flush()) throw std::runtime_error("cannot write to " + folder_);
    }
    std::ostringstream command;
    command << "load " << folder_ << " batch=" << c.batch << " heads=" << c.heads << " dim=" << c.dim
            << " points=" << c.points << " queries=" << c.queries << " form=located type=" << NameOf(type)
            << " levels=";
    for (size_t l = 0; l < c.levels.size(); l += 2)
      command << (l ? "," : "") << c.levels[l] << "x" << c.levels[l + 1];
    Ask(command.str());
  }

  // Microseconds of single runs; `what` is forward or step.
  std::vector<double> Time(const char* what, int count) {
    std::istringstream answer(Ask(std::string("time ") + what + " " + std::to_string(count)));
    std::vector<double> times;
    for (double milliseconds; answer >> milliseconds;) times.push_back(1000 * milliseconds);
    return times;
  }

  // A tensor of its results, see Save.
  std::vector<float> Result(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name + ".f32", std::ios::binary | std::ios::ate);
    std::vector<float> values(static_cast<size_t>(file.tellg()) / 4);
    file.seekg(0);
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(4 * values.size()));
    return values;
  }
  void Save() { Ask("save " + folder_); }

 private:
  void End() {
    fclose(in_);
    fclose(out_);
    waitpid(child_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string Ask(const std::string& command) {
    std::fprintf(in_, "%s\n", command.c_str());
    std::fflush(in_);
    return Answer("ok");
  }

  // What follows the wanted first word.
  std::string Answer(const std::string& wanted) {
    std::string line;
    for (int c; (c = std::fgetc(out_)) != EOF && c != '\n';) line.push_back(static_cast<char>(c));
    const size_t space = std::min(line.find(' '), line.size());
    if (line.substr(0, space) != wanted) throw std::runtime_error("PyTorch: " + (line.empty() ? "it ended" : line));
    return line.substr(std::min(space + 1, line.size()));
  }

  std::string folder_, version_;
  pid_t child_ = -1;
  FILE* in_ = nullptr;
  FILE* out_ = nullptr;
};

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_TORCH_PEER_H_
