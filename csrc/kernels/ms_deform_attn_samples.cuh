// SPDX-License-Identifier: Apache-2.0
// Where the samples of a query lie: the part of ms_deform_attn.cu that forward and backward share.
//
// A group of G lanes (4 to 32, a power of two) serves one query of one head. The lanes first share out its samples:
// each works out the corners and weights of a few and leaves them in shared memory; then they go through the samples,
// C lanes together with V channels each. Where C is G all lanes do all samples; where there are few queries, C is a
// part of G and its G / C teams take every (G / C)th sample. Only lanes of one warp work together, so that no
// block-wide barrier is needed.
#ifndef TFGEO_KERNELS_MS_DEFORM_ATTN_SAMPLES_CUH_
#define TFGEO_KERNELS_MS_DEFORM_ATTN_SAMPLES_CUH_

#include "device.cuh"

namespace tfgeo::cuda {

constexpr int kMaxLevels = 64;
constexpr int kThreads = 256;

struct Level {
  int height, width, start;  // start: pixels of the levels before
};

// Sizes of a call, as the kernels need them. Every tensor has fewer than 2^31 elements.
struct Problem {
  int batch, length, heads, dim, levels, points, queries;
  int reference_size;  // 0, 2 or 4
  int samples;         // levels * points, of one query and head
  int row;             // heads * dim, from one pixel to the next
  Level level[kMaxLevels];
};

template <typename A>
struct Inputs {
  const A* reference;
  const A* positions;
  const A* scores;
};

// Samples that are in shared memory at a time.
template <int G>
constexpr int kChunk = G < 16 ? 16 : G;

// ---- which query ----

// Consecutive groups take consecutive queries of one head: where queries are pixels, their samples share cache lines.
template <int G>
struct Place {
  int batch, head, query, group, lane;
  bool valid;  // groups past the last query repeat it without writing, so that warps stay whole

  __device__ __forceinline__ explicit Place(const Problem& p) {
    const int groups = blockDim.x / G;
    group = threadIdx.x / G;
    lane = threadIdx.x % G;
    const int tiles = (p.queries + groups - 1) / groups;
    const int tile = blockIdx.x % tiles;
    head = blockIdx.x / tiles % p.heads;
    batch = blockIdx.x / tiles / p.heads;
    query = tile * groups + group;
    valid = query < p.queries;
    if (!valid) query = p.queries - 1;
  }

  // Of [N, Q, M].
  __device__ __forceinline__ int64_t Index(const Problem& p) const {
    return (static_cast<int64_t>(batch) * p.queries + query) * p.heads + head;
  }
};

// ---- shared memory ----

// The chunk of samples that a group works on: element offsets of the four corners in value (from pixel 0 of the batch
// item and head), their weights, and for the gradient the dot products with grad_output.
template <typename A, int G>
struct Slots {
  Pack<A, 4>* weight;
  Pack<int, 4>* offset;
  Pack<A, 4>* dot;

  // Bytes of a group.
  static constexpr size_t kForward = kChunk<G> * (sizeof(Pack<A, 4>) + sizeof(Pack<int, 4>));
  static constexpr size_t kBackward = kForward + kChunk<G> * sizeof(Pack<A, 4>);

  __device__ __forceinline__ Slots(unsigned char* memory, int group) {
    const int all = blockDim.x / G * kChunk<G>, first = group * kChunk<G>;
    unsigned char* offsets = memory + all * sizeof(Pack<A, 4>);
    unsigned char* dots = offsets + all * sizeof(Pack<int, 4>);
    weight = reinterpret_cast<Pack<A, 4>*>(memory) + first;
    offset = reinterpret_cast<Pack<int, 4>*>(offsets) + first;
    dot = reinterpret_cast<Pack<A, 4>*>(dots) + first;
  }
};

// ---- one sample ----

enum State { kOutside = 0, kInside = 1, kNan = 2 };
enum Side { kLeft = 1, kRight = 2, kTop = 4, kBottom = 8 };

template <typename A>
struct Sample {
  int level;
  State state;
  int inside;                   // Sides of it that lie in the map
  A weight;                     // attention weight
  A offset_x, offset_y;         // raw samples: as given
  A left, right, top, bottom;  // bilinear weights, 0 where the side is outside
};

// Reads the samples of one query and head in either form.
template <typename A, int G, bool kRaw>
class Reader {
 public:
  // All lanes of the warp take part.
  __device__ __forceinline__ Reader(const Problem& p, const Inputs<A>& in, const Place<G>& place)
      : first_(place.Index(p) * p.samples), in_(in) {
    if constexpr (kRaw) {
      reference_ = in.reference + (static_cast<int64_t>(place.batch) * p.queries + place.query) * p.levels *
                                      p.reference_size;
      A top = -INFINITY;
      for (int j = place.lane; j < p.samples; j += G) {
        const A logit = Load(in.scores + first_ + j);
        top = top > logit || top != top ? top : logit;
      }
      top_ = MaxOverLanes<G>(top);
      A sum = 0;
      for (int j = place.lane; j < p.samples; j += G) sum += Exp(Load(in.scores + first_ + j) - top_);
      scale_ = 1 / SumOverLanes<G>(sum);
    }
  }

  // Of sample 0 in [N, Q, M, L * P].
  __device__ __forceinline__ int64_t First() const { return first_; }

  __device__ __forceinline__ A Weight(int j) const {
    const A score = Load(in_.scores + first_ + j);
    if constexpr (kRaw) return Exp(score - top_) * scale_;
    return score;
  }
  __device__ __forceinline__ A Reference(const Problem& p, int level, int coordinate) const {
    return Load(reference_ + level * p.reference_size + coordinate);
  }

  // Coordinates in pixels.
  __device__ __forceinline__ void Position(const Problem& p, int j, Sample<A>& s, A& x, A& y) const {
    const Level& level = p.level[s.level];
    const Pack<A, 2> at = LoadPack<2>(in_.positions + 2 * (first_ + j));
    if constexpr (!kRaw) {
      x = at.at[0] * level.width - A(0.5);
      y = at.at[1] * level.height - A(0.5);
    } else {
      s.offset_x = at.at[0];
      s.offset_y = at.at[1];
      const A centre_x = Reference(p, s.level, 0), centre_y = Reference(p, s.level, 1);
      if (p.reference_size == 2) {
        x = centre_x * level.width + (at.at[0] - A(0.5));
        y = centre_y * level.height + (at.at[1] - A(0.5));
      } else {
        const A part = A(0.5) / p.points;
        x = (centre_x + at.at[0] * part * Reference(p, s.level, 2)) * level.width - A(0.5);
        y = (centre_y + at.at[1] * part * Reference(p, s.level, 3)) * level.height - A(0.5);
      }
    }
  }

 private:
  static __device__ __forceinline__ float Exp(float x) { return expf(x); }
  static __device__ __forceinline__ double Exp(double x) { return exp(x); }

  int64_t first_;
  Inputs<A> in_;
  const A* reference_ = nullptr;
  A top_ = 0, scale_ = 1;
};

// Works out the corners of a sample at pixel (x, y). Corners outside the map are moved onto a corner of the same
// sample that is inside, with weight 0, so that nothing is read that the sample does not touch.
template <typename A>
__device__ __forceinline__ void FindCorners(const Problem& p, A x, A y, Sample<A>& s, Pack<int, 4>& offset,
                                            Pack<A, 4>& weight) {
  const Level& level = p.level[s.level];
  s.inside = 0;
  s.left = s.right = s.top = s.bottom = 0;
  if (x != x || y != y || s.weight != s.weight) {
    s.state = kNan;
    offset = {{0, 0, 0, 0}};
    weight = {{A(NAN), A(NAN), A(NAN), A(NAN)}};
    return;
  }
  const bool in = x > -1 && y > -1 && x < level.width && y < level.height;
  s.state = in ? kInside : kOutside;
  if (!in) return;
  const A floor_x = floor(x), floor_y = floor(y);
  const int x0 = static_cast<int>(floor_x), y0 = static_cast<int>(floor_y);
  const A fx = x - floor_x, fy = y - floor_y;
  const bool has_left = x0 >= 0, has_right = x0 + 1 < level.width;
  const bool has_top = y0 >= 0, has_bottom = y0 + 1 < level.height;
  s.inside = (has_left ? kLeft : 0) | (has_right ? kRight : 0) | (has_top ? kTop : 0) | (has_bottom ? kBottom : 0);
  s.left = has_left ? 1 - fx : 0;
  s.right = has_right ? fx : 0;
  s.top = has_top ? 1 - fy : 0;
  s.bottom = has_bottom ? fy : 0;
  const int left = has_left ? x0 : x0 + 1, right = has_right ? x0 + 1 : x0;
  const int above = level.start + (has_top ? y0 : y0 + 1) * level.width;
  const int below = level.start + (has_bottom ? y0 + 1 : y0) * level.width;
  offset = {{(above + left) * p.row, (above + right) * p.row, (below + left) * p.row, (below + right) * p.row}};
  const A top = s.weight * s.top, bottom = s.weight * s.bottom;
  weight = {{top * s.left, top * s.right, bottom * s.left, bottom * s.right}};
}

// Everything about sample j of the group's query and head.
template <typename A, int G, bool kRaw>
__device__ __forceinline__ Sample<A> Locate(const Problem& p, const Reader<A, G, kRaw>& reader, int j,
                                            Pack<int, 4>& offset, Pack<A, 4>& weight) {
  Sample<A> s;
  A x, y;
  s.level = j / p.points;
  s.weight = reader.Weight(j);
  reader.Position(p, j, s, x, y);
  FindCorners(p, x, y, s, offset, weight);
  return s;
}

// Puts samples [begin, begin + kChunk) of the group into shared memory: lane i looks at samples begin + i,
// begin + i + G, ... Those that count lie there without gaps, in order; `slot` tells where those of this lane are, -1 for
// the others. Returns how many there are. Samples that are NaN count in the forward pass only: the gradient writes NaN
// for them and leaves value alone. All lanes of the warp take part.
template <typename A, int G, bool kRaw, bool kGradient>
__device__ __forceinline__ int FillSlots(const Problem& p, const Reader<A, G, kRaw>& reader, const Place<G>& place,
                                         const Slots<A, G>& slots, int begin, int (&slot)[kChunk<G> / G]) {
  const unsigned first_lane = threadIdx.x % kWarp / G * G;
  const unsigned below = (1u << place.lane) - 1;
  const unsigned all = G == kWarp ? kWholeWarp : (1u << (G % kWarp)) - 1;
  int count = 0;
#pragma unroll
  for (int r = 0; r < kChunk<G> / G; ++r) {
    const int j = begin + r * G + place.lane;
    Pack<int, 4> offset;
    Pack<A, 4> weight;
    State state = kOutside;
    if (j < p.samples) state = Locate(p, reader, j, offset, weight).state;
    const bool kept = state == kInside || (!kGradient && state == kNan);
    const unsigned votes = (__ballot_sync(kWholeWarp, kept) >> first_lane) & all;
    slot[r] = kept ? count + __popc(votes & below) : -1;
    if (kept) {
      Store(slots.offset + slot[r], offset);
      Store(slots.weight + slot[r], weight);
    }
    count += __popc(votes);
  }
  return count;
}

}  // namespace tfgeo::cuda

#endif  // TFGEO_KERNELS_MS_DEFORM_ATTN_SAMPLES_CUH_
