// SPDX-License-Identifier: Apache-2.0
// The loops of ms_deform_attn.cc, compiled once per instruction set: no include guard, no includes but other bodies
// (foreach_isa.h).
//
// Per block of rows: first all its samples are located (vectorised over samples), then each row sums pixels of D
// channels (vectorised over channels).
#include "vector.h"
#include "vector_convert.h"
#include "vector_exp.h"
#include "ms_deform_attn_locate_body.h"
#include "ms_deform_attn_forward_body.h"
#include "ms_deform_attn_backward_body.h"
#include "ms_deform_attn_pack_body.h"
