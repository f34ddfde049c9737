// SPDX-License-Identifier: Apache-2.0
import { type BackboneSettings, backboneConfig, inferBackbone } from '../backbones/index.js';
import type { ScaleMaeDetConfig } from '../config.js';
import { type OriginalFile, type OriginalReader, readOriginal } from '../original_config.js';
import { plainValue, type TorchValue } from '../weights/torch/write.js';
import { classSlots, PARITIES, PYRAMIDS } from './options.js';
import { SCALEMAE_DET_PRESETS } from './presets.js';
import { XVIEW_LABELS } from './xview_labels.js';

/** Tensors that every checkpoint has. */
const HALLMARKS = ['rcnn.rpn.head.cls_logits.weight', 'rcnn.roi_heads.box_head.fc6.weight'];

/** Where the backbone stands. */
const BACKBONE = 'backbone.backbone.';

/** A tensor that only files with a pyramid of that kind have. */
const PYRAMID_HALLMARKS = {
  scalemae: 'fpn_adaptor.conv_1.weight',
  vitdet: 'fpn_adaptor.simfp_4.0.weight',
} as const;

/** Sizes of the detector by the names that torchvision's Faster R-CNN has for them. */
const SIZES = {
  candidates: 'rpn_pre_nms_top_n_test',
  proposals: 'rpn_post_nms_top_n_test',
  trainingCandidates: 'rpn_pre_nms_top_n_train',
  trainingProposals: 'rpn_post_nms_top_n_train',
  detections: 'box_detections_per_img',
} as const;

/** Whether these are the tensors of a ScaleMAE-Det. */
export function isOriginalScaleMaeDet(tensors: OriginalFile['tensors']): boolean {
  return HALLMARKS.every((name) => tensors.has(name));
}

/**
 * The configuration of a checkpoint of ScaleMAE-Det (https://github.com/timothygao8710/ScaleDet). Its program keeps no arguments:
 * shapes tell widths, classes and the side of the pictures; everything else is as published, its faults too, for its figures were
 * made with them (`parity: 'upstream'`). Files that are written here keep what differs.
 * @throws UserError for settings that are not supported
 */
export function originalScaleMaeDetConfig(file: OriginalFile, source: string): ScaleMaeDetConfig {
  const read = readOriginal(file, source);
  const kept = (name: string) => plainValue(file.args?.[name]);
  const base = SCALEMAE_DET_PRESETS['scalemae-det-upstream'];
  const pyramid =
    PYRAMIDS.find((kind) => read.has(PYRAMID_HALLMARKS[kind])) ??
    read.fail('its pyramid of maps is none that is known: there is no tensor fpn_adaptor.conv_1.weight');
  const parity = read.choice('parity', ['upstream', ...PARITIES.filter((one) => one !== 'upstream')]);
  const [slots = 0] = read.shape('rcnn.roi_heads.box_predictor.cls_score.weight');
  const classes = parity === 'upstream' ? slots : slots - 1;
  const [hidden = 0] = read.shape('rcnn.roi_heads.box_head.fc6.weight');
  const [channels = 0] = read.shape(HALLMARKS[0]!).slice(1);
  const backbone = backboneOf(read, base);
  const sizes = Object.entries(SIZES).map(([key, argument]) => {
    return [key, read.number(argument, base.detector[key as keyof typeof SIZES])] as const;
  });
  const detector = {
    ...base.detector,
    ...Object.fromEntries(sizes),
    channels,
    pyramid,
    anchorSizes: kept('anchor_sizes') ?? base.detector.anchorSizes,
    anchorRatios: kept('aspect_ratios') ?? base.detector.anchorRatios,
    hidden,
    leastScore: kept('box_score_thresh') ?? base.detector.leastScore,
    parity,
  } as ScaleMaeDetConfig['detector'];
  checkAnchors(detector, read);
  return {
    ...base,
    preset: 'scalemae-det',
    backbone,
    detector,
    imageSize: read.number('input_size', Number(backbone.config.image_size ?? base.imageSize)),
    labels: (kept('class_names') as string[] | undefined) ?? labelsOf(classes),
  };
}

function backboneOf(read: OriginalReader, base: ScaleMaeDetConfig): BackboneSettings {
  const found = inferBackbone(read.behind(BACKBONE));
  if (!found || backboneConfig(found.name, found.config).model_type !== 'scalemae')
    return read.fail('its backbone is no vision transformer of ScaleMAE');
  const whole = backboneConfig(found.name, found.config);
  const heads = read.number('num_heads', Number(whole.num_heads));
  const differs = heads === whole.num_heads ? {} : { num_heads: heads };
  return { name: found.name, config: { ...base.backbone.config, ...found.config, ...differs } };
}

/** The published program counts the background as a class, and xView's first class as the background. */
function labelsOf(classes: number): string[] {
  if (classes === XVIEW_LABELS.length) return [...XVIEW_LABELS];
  if (classes === XVIEW_LABELS.length + 1) return ['background', ...XVIEW_LABELS];
  return Array.from({ length: classes }, (_, i) => `class ${i}`);
}

/** Sizes of anchors show in no shape, but how many a cell has. */
function checkAnchors(
  { anchorSizes, anchorRatios }: ScaleMaeDetConfig['detector'],
  read: OriginalReader,
): void {
  const [perCell = 0] = read.shape(HALLMARKS[0]!);
  const expected = anchorSizes[0]!.length * anchorRatios.length;
  if (perCell !== expected)
    read.fail(
      `it has ${perCell} anchors at each cell where the published program has ${expected}; give a folder with its config.json`,
    );
}

/** What the original's files do not tell, as arguments of a program. */
export function originalScaleMaeDetArguments(config: ScaleMaeDetConfig): Record<string, TorchValue> {
  const { detector, labels, imageSize, backbone } = config;
  const sizes = Object.entries(SIZES).map(([key, argument]) => {
    return [argument, detector[key as keyof typeof SIZES]] as const;
  });
  return {
    input_size: imageSize,
    num_classes: classSlots({ ...detector, classes: labels.length }),
    num_heads: Number(backboneConfig(backbone.name, backbone.config).num_heads),
    parity: detector.parity,
    anchor_sizes: detector.anchorSizes.map((row) => [...row]),
    aspect_ratios: [...detector.anchorRatios],
    box_score_thresh: detector.leastScore,
    ...Object.fromEntries(sizes),
    class_names: labels,
  };
}
