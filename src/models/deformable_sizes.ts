// SPDX-License-Identifier: Apache-2.0

/** Sizes of a transformer whose attention to feature maps is deformable. */
export interface DeformableSizes {
  dModel: number;
  encoderLayers: number;
  /** Heads of the encoder's deformable attention. */
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
}
