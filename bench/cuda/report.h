// SPDX-License-Identifier: Apache-2.0
// What was measured, as a table for people and as JSON for programs.
#ifndef TFGEO_BENCH_CUDA_REPORT_H_
#define TFGEO_BENCH_CUDA_REPORT_H_

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "agreement.h"
#include "device.h"

namespace tfgeo::bench {

typedef std::vector<double> Times;  // microseconds

inline double Median(Times times) {
  std::sort(times.begin(), times.end());
  const size_t n = times.size();
  return n == 0 ? 0 : (times[(n - 1) / 2] + times[n / 2]) / 2;
}

// One case, one type, one direction. Contestants: "located" and "raw" (ours), the references, and "torch".
struct Row {
  std::string name, places, type, direction;  // forward, backward, forward + backward
  double least_bytes, gathered_bytes;
  std::map<std::string, Times> times;

  double Of(const std::string& contestant) const {
    const auto found = times.find(contestant);
    return found == times.end() ? 0 : Median(found->second);
  }
};

struct Report {
  Card card;
  bool cold = false;
  std::string targets, torch, command;
  std::vector<std::string> references;
  std::vector<Row> rows;
  std::map<std::string, std::vector<Difference>> differences;  // by "case, places, type: contestant"
};

inline std::string Today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", std::gmtime(&now));
  return text;
}

inline std::string Format(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof(text), format, number);
  return text;
}

// ---- for people ----

inline std::string Microseconds(double time) {
  return time == 0 ? "-" : Format(time >= 100 ? "%.0f" : time >= 10 ? "%.1f" : "%.2f", time);
}

inline std::string CardLine(const Report& r) {
  std::ostringstream line;
  line << Today() << ", " << r.card.name << " (sm_" << r.card.major << r.card.minor << ", " << r.card.processors
       << " multiprocessors, L2 " << r.card.l2 / (1 << 20) << " MiB, ";
  if (r.card.peak > 0) {
    line << "peak " << Format("%.0f", r.card.peak / 1e9) << " GB/s";
  } else {
    line << "peak unknown to the driver";
  }
  line << "), driver " << r.card.driver << ", CUDA " << r.card.runtime << ", library for " << r.targets;
  if (!r.torch.empty()) line << ", PyTorch " << r.torch;
  if (!r.command.empty()) line << "; `" << r.command << "`";
  line << (r.cold ? "; L2 overwritten before every run." : "; runs one after the other, L2 as they leave it.");
  return line.str();
}

inline void WriteRow(const Report& r, const Row& row, std::ostream& out) {
  const double ours = row.Of("located");
  const double rate = row.least_bytes / ours * 1e6;  // bytes a second
  const bool bytes = row.direction != "forward + backward";
  auto ratio = [&](double other) { return other == 0 ? std::string("-") : Format("%.2f", other / ours); };
  out << "| " << row.name << " | " << row.places << " | " << row.direction << " | " << Microseconds(ours) << " | "
      << Microseconds(row.Of("raw")) << " | " << (bytes ? Format("%.0f", rate / 1e9) : "-") << " | "
      << (bytes && r.card.peak > 0 ? Format("%.0f %%", 100 * rate / r.card.peak) : "-") << " | "
      << (bytes ? Format("%.0f", row.gathered_bytes / ours / 1e3) : "-") << " |";
  for (const std::string& name : r.references) out << " " << Microseconds(row.Of(name)) << " | " << ratio(row.Of(name)) << " |";
  if (!r.torch.empty()) out << " " << Microseconds(row.Of("torch")) << " | " << ratio(row.Of("torch")) << " |";
  out << "\n";
}

inline std::string Markdown(const Report& r) {
  std::ostringstream out;
  out << CardLine(r) << "\n";
  for (const char* type : {"float32", "float16", "bfloat16"}) {
    const auto same = [&](const Row& row) { return row.type == type; };
    if (std::none_of(r.rows.begin(), r.rows.end(), same)) continue;
    out << "\n" << type << "\n\n| case | samples | direction | ours, us | raw form, us | GB/s | of peak | gathered GB/s |";
    for (const std::string& name : r.references) out << " " << name << ", us | ratio |";
    if (!r.torch.empty()) out << " PyTorch, us | ratio |";
    out << "\n|---|---|---|--:|--:|--:|--:|--:|";
    for (size_t i = 0; i < r.references.size() + !r.torch.empty(); ++i) out << "--:|--:|";
    out << "\n";
    for (const Row& row : r.rows) {
      if (same(row)) WriteRow(r, row, out);
    }
  }
  return out.str();
}

// Rows where a reference was faster than ours.
inline std::vector<std::string> Lost(const Report& r) {
  std::vector<std::string> lost;
  for (const Row& row : r.rows) {
    for (const std::string& name : r.references) {
      const double theirs = row.Of(name), ours = row.Of("located");
      if (theirs == 0 || theirs > ours) continue;
      lost.push_back(row.type + ", " + row.name + ", " + row.places + ", " + row.direction + ": " + name + " " +
                     Microseconds(theirs) + " us, ours " + Microseconds(ours) + " us");
    }
  }
  return lost;
}

// ---- for programs ----

inline std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 32 ? ' ' : c);
  }
  return out + "\"";
}

// JSON has no infinity.
inline std::string Number(double number) { return std::isfinite(number) ? Format("%.6g", number) : "null"; }

inline std::string Json(const Report& r) {
  std::ostringstream out;
  out << "{\n \"date\": " << Quoted(Today()) << ",\n \"card\": {\"name\": " << Quoted(r.card.name) << ", \"arch\": \"sm_"
      << r.card.major << r.card.minor << "\", \"multiprocessors\": " << r.card.processors << ", \"l2_bytes\": " << r.card.l2
      << ", \"peak_bytes_per_second\": " << Number(r.card.peak) << ", \"driver\": " << r.card.driver
      << ", \"runtime\": " << r.card.runtime << "},\n \"targets\": " << Quoted(r.targets)
      << ",\n \"command\": " << Quoted(r.command) << ",\n \"torch\": " << (r.torch.empty() ? "null" : Quoted(r.torch))
      << ",\n \"l2\": " << Quoted(r.cold ? "cold" : "warm") << ",\n \"rows\": [";
  const char* comma = "";
  for (const Row& row : r.rows) {
    out << comma << "\n  {\"case\": " << Quoted(row.name) << ", \"samples\": " << Quoted(row.places)
        << ", \"type\": " << Quoted(row.type) << ", \"direction\": " << Quoted(row.direction)
        << ", \"least_bytes\": " << Number(row.least_bytes) << ", \"gathered_bytes\": " << Number(row.gathered_bytes)
        << ", \"microseconds\": {";
    const char* between = "";
    for (const auto& [name, times] : row.times) {
      out << between << Quoted(name) << ": [";
      for (size_t i = 0; i < times.size(); ++i) out << (i ? ", " : "") << Number(times[i]);
      out << "]";
      between = ", ";
    }
    out << "}}";
    comma = ",";
  }
  out << "\n ],\n \"differences\": {";
  comma = "";
  for (const auto& [name, tensors] : r.differences) {
    out << comma << "\n  " << Quoted(name) << ": {";
    for (size_t i = 0; i < tensors.size(); ++i)
      out << (i ? ", " : "") << Quoted(tensors[i].tensor) << ": " << Number(tensors[i].value);
    out << "}";
    comma = ",";
  }
  out << "\n }\n}\n";
  return out.str();
}

// Under another name first, so that no half file stays.
inline void WriteWhole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary);
  file << text;
  file.close();
  std::error_code fault;
  if (file) std::filesystem::rename(temporary, path, fault);
  if (!file || fault) {
    std::filesystem::remove(temporary, fault);
    throw std::runtime_error("cannot write " + path);
  }
}

// <folder>/cuda_<card>_<date>[_cold].{json,md}
inline std::string WriteReport(const Report& r, const std::string& folder) {
  std::string card;
  for (const char c : r.card.name) {
    if (std::isalnum(static_cast<unsigned char>(c))) card.push_back(static_cast<char>(std::tolower(c)));
    else if (!card.empty() && card.back() != '-') card.push_back('-');
  }
  std::filesystem::create_directories(folder);
  const std::string stem = folder + "/cuda_" + card + "_" + Today() + (r.cold ? "_cold" : "");
  WriteWhole(stem + ".json", Json(r));
  WriteWhole(stem + ".md", Markdown(r));
  return stem;
}

}  // namespace tfgeo::bench

#endif  // TFGEO_BENCH_CUDA_REPORT_H_
