// SPDX-License-Identifier: Apache-2.0
// Copies of one head's maps, pixel after pixel. Part of the forward and backward bodies.
//
// In `value` a head's pixels lie as far apart as all heads are long, mostly a power of two, which leaves them few
// places in a cache; side by side they have all of it.

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

}  // namespace
}  // namespace tfgeo::TFGEO_ISA
