// SPDX-License-Identifier: Apache-2.0
// Short vectors in the compiler's own vector types, which exist for x86 and ARM alike. Part of an ISA body: it has no
// include guard on purpose, see foreach_isa.h.

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

// out[j] += sum of the lanes of vector j.
template <typename T, int W>
struct AddSums {
  typedef typename Vec<T, W>::type V;
  static TFGEO_INLINE void Run(T* out, V a, V b, V c, V d) {
    T sums[4] = {0, 0, 0, 0};
    for (int i = 0; i < W; ++i) {
      sums[0] += a[i];
      sums[1] += b[i];
      sums[2] += c[i];
      sums[3] += d[i];
    }
    for (int j = 0; j < 4; ++j) out[j] += sums[j];
  }
};

// The shuffles fold pairs of vectors into halves until one vector holds all four sums.
#ifdef __clang__
#define TFGEO_SHUFFLE(mask, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define TFGEO_SHUFFLE(mask, a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif

TFGEO_INLINE void AddFour(float* out, Vec<float, 4>::type sums) { Store<float, 4>(out, Load<float, 4>(out) + sums); }

template <>
struct AddSums<float, 4> {
  typedef Vec<float, 4>::type V;
  typedef Vec<int32_t, 4>::type I;
  static TFGEO_INLINE void Run(float* out, V a, V b, V c, V d) {
    V ab = TFGEO_SHUFFLE(I, a, b, 0, 1, 4, 5) + TFGEO_SHUFFLE(I, a, b, 2, 3, 6, 7);
    V cd = TFGEO_SHUFFLE(I, c, d, 0, 1, 4, 5) + TFGEO_SHUFFLE(I, c, d, 2, 3, 6, 7);
    AddFour(out, TFGEO_SHUFFLE(I, ab, cd, 0, 2, 4, 6) + TFGEO_SHUFFLE(I, ab, cd, 1, 3, 5, 7));
  }
};

#if TFGEO_VECTOR_BYTES >= 32
template <>
struct AddSums<float, 8> {
  typedef Vec<float, 8>::type V;
  typedef Vec<int32_t, 8>::type I;
  static TFGEO_INLINE void Run(float* out, V a, V b, V c, V d) {
    // Lanes 0-3 of one come to lie beside lanes 0-3 of the other.
    V ab = TFGEO_SHUFFLE(I, a, b, 0, 1, 8, 9, 4, 5, 12, 13) + TFGEO_SHUFFLE(I, a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    V cd = TFGEO_SHUFFLE(I, c, d, 0, 1, 8, 9, 4, 5, 12, 13) + TFGEO_SHUFFLE(I, c, d, 2, 3, 10, 11, 6, 7, 14, 15);
    V all = TFGEO_SHUFFLE(I, ab, cd, 0, 2, 8, 10, 4, 6, 12, 14) + TFGEO_SHUFFLE(I, ab, cd, 1, 3, 9, 11, 5, 7, 13, 15);
    V swapped = TFGEO_SHUFFLE(I, all, all, 4, 5, 6, 7, 0, 1, 2, 3);
    Vec<float, 4>::type sums;
    all += swapped;
    __builtin_memcpy(&sums, &all, sizeof(sums));
    AddFour(out, sums);
  }
};
#endif

#if TFGEO_VECTOR_BYTES >= 64
template <>
struct AddSums<float, 16> {
  typedef Vec<float, 16>::type V;
  typedef Vec<int32_t, 16>::type I;
  static TFGEO_INLINE V Pairs(V a, V b) {
    return TFGEO_SHUFFLE(I, a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           TFGEO_SHUFFLE(I, a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  static TFGEO_INLINE void Run(float* out, V a, V b, V c, V d) {
    V ab = Pairs(a, b);
    V cd = Pairs(c, d);
    V all = TFGEO_SHUFFLE(I, ab, cd, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
            TFGEO_SHUFFLE(I, ab, cd, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
    all += TFGEO_SHUFFLE(I, all, all, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    all += TFGEO_SHUFFLE(I, all, all, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    Vec<float, 4>::type sums;
    __builtin_memcpy(&sums, &all, sizeof(sums));
    AddFour(out, sums);
  }
};
#endif

#undef TFGEO_SHUFFLE

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
