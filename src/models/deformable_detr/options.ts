// SPDX-License-Identifier: Apache-2.0
import type { DeformableSizes } from '../deformable_sizes.js';

/** Everything about the transformer and the heads; the backbone is built outside. */
export interface DeformableDetrOptions extends DeformableSizes {
  /** Kinds of objects. */
  classes: number;
  /** Every decoder layer moves the boxes of the one before. */
  boxRefine: boolean;
  /** The encoder proposes the first boxes. Needs `boxRefine`. */
  twoStage: boolean;
  /** One class head for all decoder layers. Always so without `boxRefine`, never with two stages. */
  sharedClassHead: boolean;
}
