// SPDX-License-Identifier: Apache-2.0
// Copies of one head's maps, pixel after pixel. Part of ms_deform_attn_body.h.
//
// In `value` a head's pixels lie as far apart as all heads are long, mostly a power of two, which leaves them few places in
// a cache; side by side they have all of it.

namespace tfgeo::TFGEO_ISA {
namespace {

// The maps of head `head` of batch item `item`; channels of padding are not written.
template <typename C>
void Pack(const Call<C>& call, const void* value, int64_t item, int64_t head, const Maps<C>& maps) {
  const TfgeoMsDeformAttnShape& shape = call.shape;
  const int64_t first = item * shape.length * shape.heads + head;
  for (int64_t s = 0; s < shape.length; ++s) {
    LoadRow(call.type, value, (first + s * shape.heads) * shape.dim, shape.dim, maps.pixels + s * maps.pixel);
  }
}

// Pixels [begin, end) of the other way round: the sum of one or more copies, which ends up in the first.
template <typename C>
void Unpack(const Call<C>& call, C* const* copies, int64_t count, int64_t pixel, int64_t item, int64_t head,
            int64_t begin, int64_t end, void* value) {
  const TfgeoMsDeformAttnShape& shape = call.shape;
  const int64_t first = item * shape.length * shape.heads + head;
  for (int64_t s = begin; s < end; ++s) {
    C* sum = copies[0] + s * pixel;
    for (int64_t k = 1; k < count; ++k) {
      const C* other = copies[k] + s * pixel;
      for (int64_t d = 0; d < shape.dim; ++d) sum[d] += other[d];
    }
    StoreRow(call.type, sum, shape.dim, value, (first + s * shape.heads) * shape.dim);
  }
}

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
