// SPDX-License-Identifier: Apache-2.0

/** Everything about the transformer and the heads; the backbone is built outside. */
export interface DeformableDetrOptions {
  dModel: number;
  encoderLayers: number;
  encoderHeads: number;
  encoderPoints: number;
  /** Inner width of the encoder's feed-forward layers. */
  encoderFfn: number;
  decoderLayers: number;
  decoderHeads: number;
  decoderPoints: number;
  decoderFfn: number;
  /** Feature maps. Those beyond the backbone's are made by convolutions of stride 2. */
  levels: number;
  /** Boxes predicted; with two stages, proposals taken. */
  queries: number;
  /** Kinds of objects. */
  classes: number;
  /** Every decoder layer moves the boxes of the one before. */
  boxRefine: boolean;
  /** The encoder proposes the first boxes. Needs `boxRefine`. */
  twoStage: boolean;
  /** One class head for all decoder layers. Always so without `boxRefine`, never with two stages. */
  sharedClassHead: boolean;
}
