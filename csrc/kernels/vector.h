// SPDX-License-Identifier: Apache-2.0
// Short vectors in the compiler's own vector types, which exist for x86 and ARM alike. Part of an ISA body: it has no
// include guard on purpose, see foreach_isa.h. Needs <cstdint> and <utility>.

namespace tfgeo::TFGEO_ISA {
namespace {

template <typename T, int W>
struct Vec {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};

template <typename T, int W>
TFGEO_INLINE typename Vec<T, W>::type Load(const T* p) {
  typename Vec<T, W>::type v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}

template <typename T, int W>
TFGEO_INLINE void Store(T* p, typename Vec<T, W>::type v) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// Brings `size` elements near, to be read or (kWrite) written.
template <bool kWrite, typename T>
TFGEO_INLINE void Prefetch(const T* p, int64_t size) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < size; i += kLine) __builtin_prefetch(p + i, kWrite ? 1 : 0);
}

// The same bits as another type.
template <typename To, typename From>
TFGEO_INLINE To Bits(From from) {
  To to;
  static_assert(sizeof(to) == sizeof(from));
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

// Integers as wide as T, so that comparisons of both fit together.
template <typename T>
struct Lane;
template <>
struct Lane<float> {
  typedef int32_t Int;
};
template <>
struct Lane<double> {
  typedef int64_t Int;
};

// int32 numbers as lanes of a vector for T, and back.
template <typename T, int W>
TFGEO_INLINE typename Vec<typename Lane<T>::Int, W>::type LoadInts(const int32_t* p) {
  typedef typename Vec<typename Lane<T>::Int, W>::type I;
  return __builtin_convertvector((Load<int32_t, W>(p)), I);
}

template <typename T, int W>
TFGEO_INLINE void StoreInts(int32_t* p, typename Vec<typename Lane<T>::Int, W>::type v) {
  typedef typename Vec<int32_t, W>::type I;
  Store<int32_t, W>(p, __builtin_convertvector(v, I));
}

// ---- shuffles; lanes of two vectors of W count 0 to 2 W - 1 ----

template <int... I>
using Lanes = std::integer_sequence<int, I...>;
template <int N>
using FirstLanes = std::make_integer_sequence<int, N>;

// 0, 1, 2, ... as lanes.
template <typename V, int... I>
TFGEO_INLINE V Count(Lanes<I...>) {
  return V{I...};
}

// Lanes offset, offset + step, ...
template <int kStep, int kOffset, typename V, int... I>
TFGEO_INLINE auto Every(V a, V b, Lanes<I...>) {
  return __builtin_shufflevector(a, b, (kStep * I + kOffset)...);
}

template <int W, typename V>
TFGEO_INLINE V Evens(V a, V b) {
  return Every<2, 0>(a, b, FirstLanes<W>());
}

template <int W, typename V>
TFGEO_INLINE V Odds(V a, V b) {
  return Every<2, 1>(a, b, FirstLanes<W>());
}

// a0 b0 a1 b1 ..., the first or the second vector of it.
template <int W, int kSecond, typename V, int... I>
TFGEO_INLINE V Interleave(V a, V b, Lanes<I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + kSecond * W / 2 + I % 2 * W)...);
}

// to[4 * i + j] = lane i of vector j.
template <typename T, int W, typename V>
TFGEO_INLINE void StoreFours(T* to, V a, V b, V c, V d) {
  constexpr FirstLanes<W> lanes;
  const V ac0 = Interleave<W, 0>(a, c, lanes), ac1 = Interleave<W, 1>(a, c, lanes);
  const V bd0 = Interleave<W, 0>(b, d, lanes), bd1 = Interleave<W, 1>(b, d, lanes);
  Store<T, W>(to, Interleave<W, 0>(ac0, bd0, lanes));
  Store<T, W>(to + W, Interleave<W, 1>(ac0, bd0, lanes));
  Store<T, W>(to + 2 * W, Interleave<W, 0>(ac1, bd1, lanes));
  Store<T, W>(to + 3 * W, Interleave<W, 1>(ac1, bd1, lanes));
}

template <int W, typename V>
TFGEO_INLINE auto LowHalf(V v) {
  return Every<1, 0>(v, v, FirstLanes<W / 2>());
}

template <int W, typename V>
TFGEO_INLINE auto HighHalf(V v) {
  return Every<1, W / 2>(v, v, FirstLanes<W / 2>());
}

// ---- over the lanes ----

template <int W, typename V>
TFGEO_INLINE auto SumOf(V v) {
  if constexpr (W == 1) {
    return v[0];
  } else {
    return SumOf<W / 2>(LowHalf<W>(v) + HighHalf<W>(v));
  }
}

template <int W, typename V>
TFGEO_INLINE auto LargestOf(V v) {
  if constexpr (W == 1) {
    return v[0];
  } else {
    const auto low = LowHalf<W>(v), high = HighHalf<W>(v);
    return LargestOf<W / 2>(low > high ? low : high);
  }
}

// Two adjacent lanes of a beside two of b, in every group of four: kOffset 0 the first two, 2 the others.
template <int W, int kOffset, typename V, int... I>
TFGEO_INLINE V PairUp(V a, V b, Lanes<I...>) {
  return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 + kOffset + (I % 4 / 2) * W)...);
}

template <int W, int kOffset, typename V, int... I>
TFGEO_INLINE V PickUp(V a, V b, Lanes<I...>) {
  return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 * 2 + kOffset + (I % 4 / 2) * W)...);
}

template <int W, typename V>
TFGEO_INLINE auto SumOfGroups(V v) {
  if constexpr (W == 4) {
    return v;
  } else {
    return SumOfGroups<W / 2>(LowHalf<W>(v) + HighHalf<W>(v));
  }
}

// out[j] += sum of the lanes of vector j.
template <typename T, int W, typename V>
TFGEO_INLINE void AddSums(T* out, V a, V b, V c, V d) {
  if constexpr (W >= 4) {
    constexpr FirstLanes<W> lanes;
    const V ab = PairUp<W, 0>(a, b, lanes) + PairUp<W, 2>(a, b, lanes);
    const V cd = PairUp<W, 0>(c, d, lanes) + PairUp<W, 2>(c, d, lanes);
    const V groups = PickUp<W, 0>(ab, cd, lanes) + PickUp<W, 1>(ab, cd, lanes);
    Store<T, 4>(out, Load<T, 4>(out) + SumOfGroups<W>(groups));
  } else {
    out[0] += SumOf<W>(a);
    out[1] += SumOf<W>(b);
    out[2] += SumOf<W>(c);
    out[3] += SumOf<W>(d);
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
