// SPDX-License-Identifier: Apache-2.0
import { runFamily } from './backbones.js';
import { runCoco } from './coco_eval.js';
import type { CaseContext } from './context.js';
import { runDeformableCriterion, runSine } from './deformable_criterion.js';
import { runDetector } from './deformable_detr.js';
import { runDeformableTransformer } from './deformable_transformer.js';
import { hasBackbone, runWholeDetector } from './detectors.js';
import { runAnswers, runClassAgnostic, runFlickr, runReferring } from './evaluators.js';
import { runGroundingDino } from './grounding_dino.js';
import { runAssignment, runBoxes, runFocal, runMatcher, runSetLosses } from './hungarian.js';
import { runContrastive, runCriterion, runPositiveMap } from './mdetr.js';
import { runMdetrModel } from './mdetr_model.js';
import { runMsdaCore, runMsdaModule } from './msda.js';
import { runOptim } from './optim.js';
import { isPublished, runPublished } from './published_backbones.js';
import { runProposals, runPyramid, runRoiAlign, runTransform } from './regions.js';
import { runScaleDet } from './scaledet.js';
import { runPositions, runVit } from './scalemae.js';
import { runSwinBackbone, runSwinModel } from './swin.js';
import { runTextEncoder } from './text_encoder.js';
import { runTokenizer } from './tokenizer.js';
import type { ParityArea, ParityCase } from './types.js';

/** Runs a case through the library and compares. */
export interface Kind {
  run(context: CaseContext): Promise<void> | void;
  /** Variants of the library that the kind can be run on; all are, unless the user chooses. */
  paths?: readonly string[];
  /** Further variants, each in a process of its own (paths.ts); they run only when asked for. */
  processPaths?: readonly string[];
  /** Variants on which its functions can be compiled: all, or these; absent = there is nothing to compile. */
  compiles?: true | readonly string[];
}

/** Ops of our own: the native kernel, and its meaning in plain operations. */
export const OP_PATHS = ['native', 'plain'];

/** Native kernels in other forms: for one instruction set, and for CUDA. */
export const PROCESS_PATHS = ['portable', 'avx2', 'avx512', 'neon', 'cuda-shim', 'cuda'];

/** Every kind of case that is known, by area and kind. To add one: a runner, and a row here. */
export const KINDS: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  msda: {
    core: { run: runMsdaCore, paths: OP_PATHS, processPaths: PROCESS_PATHS, compiles: true },
    module: { run: runMsdaModule, paths: OP_PATHS, processPaths: PROCESS_PATHS, compiles: true },
  },
  swin: {
    backbone: { run: runSwinBackbone, compiles: true },
    model: { run: runSwinModel, compiles: true },
  },
  coat: { network: { run: runFamily, compiles: true } },
  mpvit: { network: { run: runFamily, compiles: true } },
  swin_v2: { network: { run: runFamily, compiles: true } },
  scalemae: {
    positions: { run: runPositions, compiles: true },
    vit: { run: runVit, compiles: true },
    pyramid: { run: runPyramid, compiles: true },
    roi_align: { run: runRoiAlign, paths: OP_PATHS, compiles: true },
    rpn: { run: runProposals, compiles: true },
    transform: { run: runTransform, compiles: true },
    scaledet: { run: runScaleDet, compiles: true },
  },
  backbones: { published: { run: runPublished, compiles: true } },
  roberta: { tokenizer: { run: runTokenizer }, encoder: { run: runTextEncoder, compiles: true } },
  bert: { encoder: { run: runTextEncoder, compiles: true } },
  hungarian: {
    // In plain operations it reads the costs.
    assignment: { run: runAssignment, paths: OP_PATHS, compiles: ['native'] },
    matcher: { run: runMatcher, compiles: true },
    boxes: { run: runBoxes, compiles: true },
    focal: { run: runFocal, compiles: true },
    losses: { run: runSetLosses, compiles: true },
  },
  'deformable-detr': { detector: { run: runDetector, compiles: true } },
  'deformable-transformer': {
    model: { run: runDeformableTransformer, compiles: true },
    criterion: { run: runDeformableCriterion, compiles: true },
    sine: { run: runSine, compiles: true },
  },
  detectors: { model: { run: runWholeDetector, compiles: true } },
  'grounding-dino': { detector: { run: runGroundingDino, compiles: true } },
  'coco-eval': { coco: { run: runCoco } },
  eval: {
    referring: { run: runReferring },
    flickr: { run: runFlickr },
    agnostic: { run: runClassAgnostic },
    answers: { run: runAnswers, compiles: true },
  },
  optim: { optim: { run: runOptim } },
  mdetr: {
    criterion: { run: runCriterion, compiles: true },
    contrastive: { run: runContrastive, compiles: true },
    positive_map: { run: runPositiveMap },
    model: { run: runMdetrModel, compiles: true },
  },
  mdetr_g: {
    criterion: { run: runCriterion, compiles: true },
    model: { run: runMdetrModel, compiles: true },
  },
};

/** Areas with at least one known kind. */
export const KNOWN_AREAS = Object.keys(KINDS);

/** Where the manifest names no kind, what the case holds tells it. First row that fits. */
const SIGNS: readonly [kind: string, fits: (entry: ParityCase, tensors: string[]) => boolean][] = [
  ['positions', ({ config }) => 'grid' in config && 'gsd' in config],
  ['vit', ({ config }) => 'repo' in config && 'depth' in config],
  ['network', ({ config }) => 'embed_dims' in config],
  ['roi_align', ({ config }) => 'rois' in config],
  ['rpn', ({ config }) => 'ratios' in config && 'strides' in config],
  ['transform', ({ config }) => 'min_size' in config],
  ['scaledet', ({ config }) => 'order' in config && 'gsd' in config],
  ['pyramid', (_, tensors) => tensors.includes('in/upstream.p6')],
  [
    'published',
    (entry) => 'shapes' in entry && entry.weights === 'formula' && isPublished(entry.config.model),
  ],
  ['detector', ({ config }) => 'train_backbone' in config || 'phrases' in config],
  ['optim', ({ config }) => 'groups' in config && 'steps' in config],
  [
    'positive_map',
    (_, tensors) => tensors.some((name) => name.endsWith('positive_map') && name.startsWith('out/')),
  ],
  ['criterion', (_, tensors) => tensors.some((name) => name.startsWith('out/loss.'))],
  ['contrastive', (_, tensors) => tensors.includes('in/pooled_text') && tensors.includes('in/pooled_image')],
  ['referring', ({ files }) => files.some((file) => file.startsWith('refexp'))],
  ['flickr', ({ files }) => files.some((file) => file.startsWith('flickr'))],
  ['agnostic', ({ files }) => files.some((file) => file.startsWith('coco_class_agnostic'))],
  ['answers', (_, tensors) => tensors.includes('in/pred_isfinal')],
  ['sine', ({ config }) => 'num_pos_feats' in config],
  [
    'model',
    ({ config }) =>
      'd_model' in config || ('backbone' in config && (!('repo' in config) || hasBackbone(config.backbone))),
  ],
];

/** The kind of a case: what the manifest says, else what can be told from it, else `unknown`. */
export function kindOf(entry: ParityCase): string {
  if (entry.kind) return entry.kind;
  const tensors = Object.keys(entry.tensors ?? {});
  return SIGNS.find(([, fits]) => fits(entry, tensors))?.[0] ?? 'unknown';
}

export function runnerFor(area: ParityArea, kind: string): Kind | null {
  return KINDS[area.name]?.[kind] ?? null;
}
