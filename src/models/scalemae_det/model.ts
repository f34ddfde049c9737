// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { type Compiled, compile } from '../../engine/index.js';
import { detach, noGrad, type RandomStream } from '../../ops/index.js';
import type { Backbone } from '../backbones/index.js';
import type { PictureInput, TopDetections } from '../deformable_detr/index.js';
import { Module } from '../module.js';
import { numbered, Stages } from '../stages.js';
import { layAnchors } from './anchors.js';
import { clipBoxes, DETECTION_WEIGHTS, decodeBoxes, largeEnough } from './box_coder.js';
import { BoxHead, type BoxOutput, mapOfBoxes, readBoxes } from './box_head.js';
import { classSlots, firstSlot, type ScaleMaeDetOptions } from './options.js';
import { type AnchorOutput, ProposalHead, propose } from './proposal_network.js';
import { type Pyramid, ScaleMaePyramid, VitDetPyramid } from './pyramid.js';
import { type Kept, suppress } from './suppress.js';

/** A detection is dropped when it overlaps a better one of its class by more than this. */
const OVERLAP = 0.5;
/** Pixels that a detection has along each side. */
const LEAST = 0.01;
/** Coarser maps propose boxes, but none is read from them. */
const COARSEST = 32;
/** Boxes have been clipped to their pictures. */
const CLIPPED = { reach: 1.1 } as const;

/** A batch seen by the first stage. */
export interface ProposalStage {
  /** Maps in the order of the anchors, `[batch, h, w, channels]`. */
  maps: tf.Tensor4D[];
  strides: number[];
  /** `[anchors, 4]`, in pixels, the same for every picture. */
  anchors: tf.Tensor2D;
  anchorOutput: AnchorOutput;
  /** Boxes in pixels, constants to the gradient. */
  proposals: Kept;
  /** `[batch, 2]`, width and height of the pictures without padding. */
  sizes: tf.Tensor2D;
}

export interface ScaleMaeDetOutput extends BoxOutput {
  stage: ProposalStage;
  /** Values inside by name, if they were asked for. */
  intermediates: Record<string, tf.Tensor>;
}

interface PassOptions {
  training?: boolean;
  random?: RandomStream;
  /** Receives values inside the backbone by name. */
  taps?: Map<string, tf.Tensor>;
}

/**
 * ScaleMAE-Det: a vision transformer whose positions count metres, a pyramid of maps, and a Faster R-CNN on them; answers with
 * classes of a list.
 *
 * Source: https://github.com/timothygao8710/ScaleDet (Reed et al. 2023, "Scale-MAE"; Ren et al. 2015, "Faster R-CNN"). What is
 * wrong there is put right unless `parity` is `upstream`, see {@link PARITIES}. Parameters have the original's names, of which
 * the backbone has three.
 */
export class ScaleMaeDet extends Module {
  private readonly pyramid: Pyramid;
  private readonly proposalHead: ProposalHead;
  private readonly boxHead: BoxHead;
  private readonly predictor: Compiled<[PictureInput, tf.Tensor1D | null], TopDetections> = compile(
    (input: PictureInput, wanted: tf.Tensor1D | null) => this.detections(this.forward(input), wanted),
    { name: 'prediction', warmup: 1, frozen: true },
  );

  constructor(
    readonly backbone: Backbone,
    readonly options: ScaleMaeDetOptions,
  ) {
    super();
    const { channels, anchorSizes, anchorRatios, hidden } = options;
    const [inChannels] = backbone.channels as [number];
    this.child('backbone.backbone', backbone);
    this.pyramid =
      options.pyramid === 'vitdet'
        ? new VitDetPyramid(inChannels, channels)
        : new ScaleMaePyramid(inChannels, channels);
    this.child('fpn_adaptor', this.pyramid);
    this.child('fpn_adaptor.backbone.backbone', backbone);
    this.child('rcnn.backbone', this.pyramid);
    this.child('rcnn.backbone.backbone.backbone', backbone);
    const perCell = anchorSizes[0]!.length * anchorRatios.length;
    this.proposalHead = this.child('rcnn.rpn.head', new ProposalHead(channels, perCell));
    this.boxHead = this.child('rcnn.roi_heads', new BoxHead(channels, hidden, classSlots(options)));
  }

  /** The first stage: what every anchor says, and proposals. */
  propose(input: PictureInput, pass: PassOptions = {}): ProposalStage {
    const { anchorSizes, anchorRatios, parity } = this.options;
    const { pixels } = input;
    const training = pass.training ?? false;
    const gsd = parity === 'upstream' || !input.gsd ? {} : { gsd: input.gsd };
    const [map] = this.backbone.forward(pixels, { ...pass, training, ...gsd }).levels as [tf.Tensor4D];
    const [stride] = this.backbone.strides as [number];
    const maps = this.pyramid.forward(map);
    const strides = this.pyramid.factors.map((factor) => stride / factor);
    if (parity === 'upstream') {
      maps.reverse();
      strides.reverse();
    }
    const anchorOutput = this.proposalHead.forward(maps);
    const cells = maps.map(({ shape: [, height, width] }, i) => ({ height, width, stride: strides[i]! }));
    const anchors = layAnchors(cells, anchorSizes, anchorRatios);
    const sizes = pictureSizes(input);
    const { candidates, proposals, trainingCandidates, trainingProposals } = this.options;
    const limits: [number, number] = training
      ? [trainingCandidates, trainingProposals]
      : [candidates, proposals];
    const kept = propose(anchorOutput, anchors, sizes, ...limits);
    return { maps, strides, anchors, anchorOutput, proposals: kept, sizes };
  }

  /** What is read for boxes, `[batch, N, 7, 7, channels]`, and the number of the map that each is read from. */
  read({ maps, strides }: ProposalStage, boxes: tf.Tensor3D): { cells: tf.Tensor5D; level: tf.Tensor2D } {
    const used = strides.filter((stride) => stride <= COARSEST);
    if (this.options.parity === 'upstream') {
      // The reference takes the first map for the finest: no number lies between its bounds.
      const none = Math.round(Math.log2(used.at(-1)! / used[0]!));
      const [batch, count] = boxes.shape;
      const level = tf.fill([batch, count], none, 'int32') as tf.Tensor2D;
      return { cells: readBoxes(maps, strides, boxes, level, CLIPPED), level };
    }
    const level = mapOfBoxes(boxes, used);
    return { cells: readBoxes(maps.slice(0, used.length), used, boxes, level, CLIPPED), level };
  }

  /** The second stage: classes and boxes of what is read. */
  classify(cells: tf.Tensor5D): BoxOutput {
    return this.boxHead.forward(cells);
  }

  /** Both stages, for proposals. @param pass.intermediates also return named inner values, the backbone's as `backbone.*` */
  forward(
    input: PictureInput,
    { intermediates, ...pass }: PassOptions & { intermediates?: boolean } = {},
  ): ScaleMaeDetOutput {
    const stages = new Stages(intermediates);
    const stage = this.propose(input, { ...pass, ...stages.taps('backbone') });
    const { cells } = this.read(stage, stage.proposals.boxes);
    const output = this.classify(cells);
    const inner = () => ({
      ...numbered('pyramid', stage.maps),
      objectness: stage.anchorOutput.objectness,
      anchor_deltas: stage.anchorOutput.deltas,
      proposals: stage.proposals.boxes,
      regions: cells,
      class_logits: output.classLogits,
      box_deltas: output.deltas,
    });
    return { ...output, stage, intermediates: stages.all(inner) };
  }

  /**
   * The best detections of each picture, best first; rows behind the last one have the score 0.
   * @param wanted `[classes]`, 1 = a class that is asked for; null = all
   */
  detections(output: ScaleMaeDetOutput, wanted: tf.Tensor1D | null = null, count?: number): TopDetections {
    return noGrad(() => {
      const { leastScore, detections } = this.options;
      const { proposals, sizes } = output.stage;
      const [batch, rows, slots] = output.classLogits.shape;
      const found = decodeBoxes(
        detach(output.deltas),
        tf.expandDims(proposals.boxes, 2),
        DETECTION_WEIGHTS,
      ) as tf.Tensor4D;
      const corners = clipBoxes(tf.reshape(found, [batch, rows * slots, 4]), sizes);
      const byClass = tf.reshape(corners, [batch, rows, slots, 4]);
      const boxes = tf.slice(byClass, [0, 0, 1, 0], [batch, rows, slots - 1, 4]);
      const probability = tf.softmax(detach(output.classLogits));
      const real = tf.mul(
        tf.cast(tf.squeeze(largeEnough(boxes, LEAST), [3]), 'float32'),
        tf.expandDims(proposals.mask, 2),
      );
      // Without a slot for the background the first class has no score of its own.
      const first = firstSlot(this.options);
      const asked = wanted ? tf.slice(wanted, [1 - first], [slots - 1]) : tf.ones([slots - 1]);
      const scores = tf.mul(
        tf.mul(tf.slice(probability, [0, 0, 1], [batch, rows, slots - 1]), real),
        asked,
      ) as tf.Tensor3D;
      const options = { iou: OVERLAP, count: count ?? detections, above: leastScore };
      const kept = suppress(boxes as tf.Tensor4D, scores, options);
      const whole = tf.expandDims(tf.concat([sizes, sizes], 1), 1);
      return {
        scores: kept.scores,
        labels: tf.add(kept.groups, tf.scalar(1 - first, 'int32')) as tf.Tensor2D,
        boxes: tf.div(kept.boxes, whole) as tf.Tensor3D,
      };
    });
  }

  /** The best detections of each picture, by a compiled function: what detecting needs. */
  predict(input: PictureInput, wanted: tf.Tensor1D | null = null): TopDetections {
    return this.predictor(input, wanted);
  }

  override dispose(): void {
    super.dispose();
    this.predictor.dispose();
  }
}

/** `[batch, 2]`, width and height of the pictures in a batch. */
function pictureSizes({ pixels, pixelMask }: PictureInput): tf.Tensor2D {
  const [batch, height, width] = pixels.shape;
  if (!pixelMask) return tf.tile(tf.tensor2d([[width, height]]), [batch, 1]);
  const rows = tf.sum(tf.max(pixelMask, 2), 1);
  const columns = tf.sum(tf.max(pixelMask, 1), 1);
  return tf.stack([columns, rows], 1) as tf.Tensor2D;
}
