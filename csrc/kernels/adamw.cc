// SPDX-License-Identifier: Apache-2.0
#include "adamw.h"

#include <algorithm>
#include <utility>

#define TFGEO_ISA_BODY "adamw_body.h"
#include "foreach_isa.h"

namespace tfgeo {
namespace {

// Values of one piece of work: small enough for a core's caches, large enough to be worth handing over.
constexpr int64_t kPiece = 16384;

// A piece of a part, and where the part's pieces stand in the vectors.
struct Piece {
  size_t part;
  int64_t begin, size, offset;
};

template <typename Part>
std::vector<Piece> PiecesOf(const std::vector<Part>& parts) {
  std::vector<Piece> pieces;
  int64_t offset = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (int64_t begin = 0; begin < parts[i].size; begin += kPiece) {
      const int64_t size = std::min(kPiece, parts[i].size - begin);
      pieces.push_back({i, begin, size, offset + begin});
    }
    offset += parts[i].size;
  }
  return pieces;
}

// Pieces in one block: several where parts are small.
int64_t Block(const Parallel& parallel, const std::vector<Piece>& pieces) {
  int64_t total = 0;
  for (const Piece& piece : pieces) total += piece.size;
  const int64_t count = static_cast<int64_t>(pieces.size());
  return BlockSize(parallel, count, total <= 0 ? count : 1 + kPiece * count / total);
}

}  // namespace

void AdamW(const AdamWNumbers& numbers, const AdamWVectors& v, const std::vector<AdamWPart>& parts,
           const Parallel& parallel) {
  const auto step = TFGEO_DISPATCH(AdamWRange);
  const auto move = TFGEO_DISPATCH(MoveAverages);
  const std::vector<Piece> pieces = PiecesOf(parts);
  parallel.run(static_cast<int64_t>(pieces.size()), Block(parallel, pieces), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const auto& [part, begin, size, at] = pieces[static_cast<size_t>(i)];
      const AdamWPart& p = parts[part];
      step(numbers, size, p.gradient + begin, v.param + at, v.first + at, v.second + at, v.next_param + at,
           v.next_first + at, v.next_second + at, p.value + begin);
      if (v.average != nullptr) move(numbers.share, size, v.average + at, v.next_param + at, v.next_average + at);
    }
  });
}

double SquaredNorm(const std::vector<NormPart>& parts, const Parallel& parallel) {
  const auto squares = TFGEO_DISPATCH(SumOfSquares);
  const std::vector<Piece> pieces = PiecesOf(parts);
  std::vector<float> sums(pieces.size());
  parallel.run(static_cast<int64_t>(pieces.size()), Block(parallel, pieces), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      sums[static_cast<size_t>(i)] = squares(piece.size, parts[piece.part].values + piece.begin);
    }
  });
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return sum;
}

}  // namespace tfgeo
