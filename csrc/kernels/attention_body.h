// SPDX-License-Identifier: Apache-2.0
// The loops of attention.cc, compiled once per instruction set: no include guard, no includes (foreach_isa.h).
//
// One head of one sequence at a time, a few queries at a time. Keys lie transposed, so that a vector holds one channel of
// many keys and scores need no sums over lanes; rows are padded with zeros to whole vectors.
#include "vector.h"
#include "vector_exp.h"

namespace tfgeo::TFGEO_ISA {
namespace {

constexpr int kLanes = TFGEO_VECTOR_BYTES / sizeof(float);
typedef Vec<float, kLanes>::type V;
typedef Vec<int32_t, kLanes>::type Ints;

// Queries at a time, as many as there are registers for.
constexpr int kBlock = TFGEO_VECTOR_BYTES >= 64 ? 8 : 4;

TFGEO_INLINE int64_t Padded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// ---- Packing ----

// to[d * padded + t] = token t's channel d.
void PackTransposed(const float* from, int64_t row, int64_t tokens, int64_t dim, float* to) {
  const int64_t padded = Padded(tokens);
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t t = 0; t < tokens; ++t) to[d * padded + t] = from[t * row + d];
    for (int64_t t = tokens; t < padded; ++t) to[d * padded + t] = 0;
  }
}

// to[t * padded + d] = token t's channel d.
void PackRows(const float* from, int64_t row, int64_t tokens, int64_t dim, float* to) {
  const int64_t padded = Padded(dim);
  for (int64_t t = 0; t < tokens; ++t) {
    __builtin_memcpy(to + t * padded, from + t * row, dim * sizeof(float));
    for (int64_t d = dim; d < padded; ++d) to[t * padded + d] = 0;
  }
}

// to[d * kBlock + i] = query i's channel d; 0 for queries that are not there.
void PackBlock(const float* from, int64_t row, int64_t count, int64_t dim, float* to) {
  for (int64_t d = 0; d < dim; ++d) {
    for (int64_t i = 0; i < kBlock; ++i) to[d * kBlock + i] = i < count ? from[i * row + d] : 0;
  }
}

void UnpackRows(const float* from, int64_t tokens, int64_t dim, float* to, int64_t row) {
  for (int64_t t = 0; t < tokens; ++t) __builtin_memcpy(to + t * row, from + t * Padded(dim), dim * sizeof(float));
}

// ---- Products ----

// scores[i * padded + t] = block's query i times token t, for the kCount vectors of tokens from `at` on.
template <int kCount>
TFGEO_INLINE void ScoreVectors(const float* block, const float* transposed, int64_t dim, int64_t padded, int64_t at,
                               float* scores) {
  V sums[kBlock][kCount] = {};
  for (int64_t d = 0; d < dim; ++d) {
    for (int n = 0; n < kCount; ++n) {
      const V tokens = Load<float, kLanes>(transposed + d * padded + at + n * kLanes);
      for (int i = 0; i < kBlock; ++i) sums[i][n] += block[d * kBlock + i] * tokens;
    }
  }
  for (int i = 0; i < kBlock; ++i) {
    for (int n = 0; n < kCount; ++n) Store<float, kLanes>(scores + i * padded + at + n * kLanes, sums[i][n]);
  }
}

void Scores(const float* block, const float* transposed, int64_t dim, int64_t padded, float* scores) {
  int64_t at = 0;
  for (; at + 2 * kLanes <= padded; at += 2 * kLanes) ScoreVectors<2>(block, transposed, dim, padded, at, scores);
  if (at < padded) ScoreVectors<1>(block, transposed, dim, padded, at, scores);
}

// out[i * width + ...] = sum over tokens of weights[i * padded + t] rows[t * width + ...].
template <int kCount>
TFGEO_INLINE void MixVectors(const float* weights, int64_t padded, const float* rows, int64_t tokens, int64_t width,
                             int64_t at, float* out) {
  V sums[kBlock][kCount] = {};
  for (int64_t t = 0; t < tokens; ++t) {
    for (int n = 0; n < kCount; ++n) {
      const V row = Load<float, kLanes>(rows + t * width + at + n * kLanes);
      for (int i = 0; i < kBlock; ++i) sums[i][n] += weights[i * padded + t] * row;
    }
  }
  for (int i = 0; i < kBlock; ++i) {
    for (int n = 0; n < kCount; ++n) Store<float, kLanes>(out + i * width + at + n * kLanes, sums[i][n]);
  }
}

void Mix(const float* weights, int64_t padded, const float* rows, int64_t tokens, int64_t width, float* out) {
  int64_t at = 0;
  for (; at + 2 * kLanes <= width; at += 2 * kLanes) MixVectors<2>(weights, padded, rows, tokens, width, at, out);
  if (at < width) MixVectors<1>(weights, padded, rows, tokens, width, at, out);
}

// sums[t * width + ...] += sum over the block of weights[i * padded + t] rows[i * width + ...].
void Spread(const float* weights, int64_t padded, const float* rows, int64_t tokens, int64_t width, float* sums) {
  for (int64_t at = 0; at < width; at += kLanes) {
    V own[kBlock];
    for (int i = 0; i < kBlock; ++i) own[i] = Load<float, kLanes>(rows + i * width + at);
    for (int64_t t = 0; t < tokens; ++t) {
      V sum = Load<float, kLanes>(sums + t * width + at);
      for (int i = 0; i < kBlock; ++i) sum += weights[i * padded + t] * own[i];
      Store<float, kLanes>(sums + t * width + at, sum);
    }
  }
}

// ---- Softmax ----

// The terms of one head: null, or those of its first query, and how far the next query's are.
struct HeadTerm {
  const float* data;
  int64_t step;
};

TFGEO_INLINE HeadTerm TermOf(const AttentionTerm& term, int64_t b, int64_t h, int64_t keys) {
  if (term.data == nullptr) return {nullptr, 0};
  const int64_t head = (b % term.sequences) * term.heads + (term.heads > 1 ? h : 0);
  return {term.data + head * term.queries * keys, term.queries > 1 ? keys : 0};
}

// A vector of at most `count` values; the others are `rest`.
TFGEO_INLINE V LoadSome(const float* from, int64_t count, float rest) {
  if (count >= kLanes) return Load<float, kLanes>(from);
  V v = V{} + rest;
  __builtin_memcpy(&v, from, count * sizeof(float));
  return v;
}

// Scores of one query, scaled, with the terms; minus infinity behind the last key.
void Complete(float* scores, int64_t keys, float scale, const HeadTerm& bias, const HeadTerm& mask, int64_t query) {
  const Ints lane = Count<Ints>(FirstLanes<kLanes>());
  for (int64_t at = 0; at < keys; at += kLanes) {
    V s = Load<float, kLanes>(scores + at) * scale;
    if (bias.data != nullptr) s += LoadSome(bias.data + query * bias.step + at, keys - at, 0);
    if (mask.data != nullptr) s += LoadSome(mask.data + query * mask.step + at, keys - at, 0);
    if (at + kLanes > keys) s = lane < static_cast<int32_t>(keys - at) ? s : V{} - __builtin_inff();
    Store<float, kLanes>(scores + at, s);
  }
}

// exp(scores - largest) in place; gives their sum.
TFGEO_INLINE float Exponentials(float* scores, int64_t padded, float largest) {
  V sums = V{};
  for (int64_t at = 0; at < padded; at += kLanes) {
    const V e = ExpMinus<kLanes>(largest - Load<float, kLanes>(scores + at));
    sums += e;
    Store<float, kLanes>(scores + at, e);
  }
  return SumOf<kLanes>(sums);
}

TFGEO_INLINE float Largest(const float* scores, int64_t padded) {
  V largest = Load<float, kLanes>(scores);
  for (int64_t at = kLanes; at < padded; at += kLanes) {
    const V s = Load<float, kLanes>(scores + at);
    largest = s > largest ? s : largest;
  }
  return LargestOf<kLanes>(largest);
}

// ---- One head ----

// Floats that a head needs for its work.
int64_t ForwardWork(const AttentionSizes& s) {
  const int64_t keys = Padded(s.keys), width = Padded(s.dim);
  return s.dim * keys + s.keys * width + kBlock * (s.dim + keys + width);
}

int64_t BackwardWork(const AttentionSizes& s) {
  const int64_t keys = Padded(s.keys), width = Padded(s.dim);
  return 2 * s.dim * keys + 3 * s.keys * width + 2 * kBlock * (s.dim + keys) + 3 * kBlock * width;
}

// Queries [first, last) of head h of sequence b.
void AttendHead(const AttentionInput& in, int64_t b, int64_t h, int64_t first, int64_t last, float* work,
                float* output, float* statistics) {
  const auto& [batch, heads, queries, tokens, dim] = in.sizes;
  const int64_t keys = Padded(tokens), width = Padded(dim), row = heads * dim;
  float* transposed = work;
  float* values = transposed + dim * keys;
  float* block = values + tokens * width;
  float* scores = block + kBlock * dim;
  float* mixed = scores + kBlock * keys;
  PackTransposed(in.key.data + b * tokens * in.key.row + h * dim, in.key.row, tokens, dim, transposed);
  PackRows(in.value.data + b * tokens * in.value.row + h * dim, in.value.row, tokens, dim, values);
  const float* query = in.query.data + b * queries * in.query.row + h * dim;
  const HeadTerm bias = TermOf(in.bias, b, h, tokens), mask = TermOf(in.mask, b, h, tokens);
  for (int64_t q = first; q < last; q += kBlock) {
    const int64_t count = last - q < kBlock ? last - q : kBlock;
    PackBlock(query + q * in.query.row, in.query.row, count, dim, block);
    Scores(block, transposed, dim, keys, scores);
    float sums[kBlock] = {};
    for (int64_t i = 0; i < count; ++i) {
      float* own = scores + i * keys;
      Complete(own, tokens, in.scale, bias, mask, q + i);
      const float largest = Largest(own, keys);
      sums[i] = Exponentials(own, keys, largest);
      statistics[(b * heads + h) * queries + q + i] = largest + __builtin_logf(sums[i]);
    }
    Mix(scores, keys, values, tokens, width, mixed);
    for (int64_t i = 0; i < count; ++i) {
      float* to = output + (b * queries + q + i) * row + h * dim;
      for (int64_t d = 0; d < dim; ++d) to[d] = mixed[i * width + d] / sums[i];
    }
  }
}

// The gradient of the bias is that of head h, and is added to.
void AttendHeadGrad(const AttentionInput& in, int64_t b, int64_t h, const float* output, const float* statistics,
                    const float* grad_output, const AttentionGradients& grads, float* work) {
  const auto& [batch, heads, queries, tokens, dim] = in.sizes;
  const int64_t keys = Padded(tokens), width = Padded(dim), row = heads * dim;
  const auto take = [&work](int64_t size) {
    float* part = work;
    work += size;
    return part;
  };
  float *keys_t = take(dim * keys), *values_t = take(dim * keys), *key_rows = take(tokens * width);
  float *grad_keys = take(tokens * width), *grad_values = take(tokens * width);
  float *block = take(kBlock * dim), *grad_block = take(kBlock * dim);
  float *weights = take(kBlock * keys), *slopes = take(kBlock * keys);
  float *query_rows = take(kBlock * width), *grad_rows = take(kBlock * width), *mixed = take(kBlock * width);
  const float* key = in.key.data + b * tokens * in.key.row + h * dim;
  PackTransposed(key, in.key.row, tokens, dim, keys_t);
  PackRows(key, in.key.row, tokens, dim, key_rows);
  PackTransposed(in.value.data + b * tokens * in.value.row + h * dim, in.value.row, tokens, dim, values_t);
  __builtin_memset(grad_keys, 0, 2 * tokens * width * sizeof(float));
  const float* query = in.query.data + b * queries * in.query.row + h * dim;
  const HeadTerm bias = TermOf(in.bias, b, h, tokens), mask = TermOf(in.mask, b, h, tokens);
  for (int64_t q = 0; q < queries; q += kBlock) {
    const int64_t count = queries - q < kBlock ? queries - q : kBlock;
    const float* upstream = grad_output + (b * queries + q) * row + h * dim;
    const float* out = output + (b * queries + q) * row + h * dim;
    PackBlock(query + q * in.query.row, in.query.row, count, dim, block);
    PackBlock(upstream, row, count, dim, grad_block);
    __builtin_memset(query_rows, 0, 2 * kBlock * width * sizeof(float));
    PackRows(query + q * in.query.row, in.query.row, count, dim, query_rows);
    PackRows(upstream, row, count, dim, grad_rows);
    Scores(block, keys_t, dim, keys, weights);
    Scores(grad_block, values_t, dim, keys, slopes);
    __builtin_memset(weights + count * keys, 0, (kBlock - count) * keys * sizeof(float));
    __builtin_memset(slopes + count * keys, 0, (kBlock - count) * keys * sizeof(float));
    for (int64_t i = 0; i < count; ++i) {
      float *w = weights + i * keys, *s = slopes + i * keys;
      Complete(w, tokens, in.scale, bias, mask, q + i);
      Exponentials(w, keys, statistics[(b * heads + h) * queries + q + i]);
      float product = 0;
      for (int64_t d = 0; d < dim; ++d) product += upstream[i * row + d] * out[i * row + d];
      float* sums = grads.bias == nullptr ? nullptr : grads.bias + (q + i) * bias.step;
      for (int64_t at = 0; at < keys; at += kLanes) {
        const V slope = Load<float, kLanes>(w + at) * (Load<float, kLanes>(s + at) - product);
        Store<float, kLanes>(s + at, slope);
      }
      if (sums != nullptr) {
        for (int64_t t = 0; t < tokens; ++t) sums[t] += s[t];
      }
      for (int64_t at = 0; at < keys; at += kLanes) Store<float, kLanes>(s + at, Load<float, kLanes>(s + at) * in.scale);
    }
    Mix(slopes, keys, key_rows, tokens, width, mixed);
    UnpackRows(mixed, count, dim, grads.query.data + (b * queries + q) * grads.query.row + h * dim, grads.query.row);
    Spread(slopes, keys, query_rows, tokens, width, grad_keys);
    Spread(weights, keys, grad_rows, tokens, width, grad_values);
  }
  UnpackRows(grad_keys, tokens, dim, grads.key.data + b * tokens * grads.key.row + h * dim, grads.key.row);
  UnpackRows(grad_values, tokens, dim, grads.value.data + b * tokens * grads.value.row + h * dim, grads.value.row);
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
