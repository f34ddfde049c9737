// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { backboneCountsMetres } from '../backbones/index.js';
import { classMask } from '../detect_classes.js';
import { defaultMetres } from '../metres.js';
import type { LoadedClassDetector } from '../model_folder.js';
import { ScaleMaeDet } from '../scalemae_det/index.js';
import { normalisePixels, placeDetections, selectByClass } from './detections.js';
import type { Exportable, ExportQuery, PictureBatch } from './types.js';

/** Name of the input of metres per pixel. */
const METRES = 'metres_per_pixel';

/** @throws UserError for a class that the model does not have */
export function classExportable(
  { model, config }: Pick<LoadedClassDetector, 'model' | 'config'>,
  { prompts, maxDetections, metresPerPixel }: ExportQuery,
): Exportable {
  classMask(config.labels, prompts)?.dispose();
  return {
    kind: config.preset,
    module: model,
    imageSize: config.imageSize,
    multiple: config.preprocess.multiple,
    threshold: config.threshold,
    inputs: metresInputs(config, metresPerPixel),
    query: null,
    labels: config.labels,
    assets: {},
    run: (pictures, extra) => {
      const { pixels, mask, sizes } = pictures;
      const normalised = normalisePixels(pixels, mask, config.preprocess);
      const gsd = metresOf(config, pictures, extra[METRES] as tf.Tensor1D | undefined, metresPerPixel);
      const input = { pixels: normalised, pixelMask: mask, gsd };
      const wanted = classMask(config.labels, prompts);
      const selection = { threshold: config.threshold, maxDetections };
      if (model instanceof ScaleMaeDet) {
        const output = model.forward(input);
        const { boxes } = output.stage.proposals;
        const raw = { proposals: boxes, class_logits: output.classLogits, box_regression: output.deltas };
        const found = model.detections(output, wanted, maxDetections);
        return { raw, detections: placeDetections(found, sizes, selection) };
      }
      const { pred_logits, pred_boxes } = model.forward(input);
      const raw = { pred_logits, pred_boxes };
      return { raw, detections: selectByClass(raw, sizes, wanted, selection) };
    },
  };
}

/** The input of metres per pixel, where a model counts them and they are not part of the graph. */
function metresInputs(
  config: LoadedClassDetector['config'],
  metresPerPixel: number | undefined,
): Exportable['inputs'] {
  if (!backboneCountsMetres(config.backbone.name) || metresPerPixel !== undefined || isUpstream(config))
    return [];
  const example = (number: number) => Float32Array.of([0.3, 0.5, 1][number % 3]!);
  const missing = defaultMetres(config);
  return [{ name: METRES, dtype: 'float32', shape: [], example, ...(missing === null ? {} : { missing }) }];
}

/** Metres per pixel as the model sees the pictures: those that the graph made smaller have larger pixels. */
function metresOf(
  config: LoadedClassDetector['config'],
  { mask, sizes }: PictureBatch,
  input: tf.Tensor1D | undefined,
  fixed: number | undefined,
): tf.Tensor1D | null {
  if (!backboneCountsMetres(config.backbone.name) || isUpstream(config)) return null;
  const [width] = tf.split(sizes, 2, 1);
  const given = input ?? tf.mul(tf.onesLike(tf.squeeze(width!, [1])), fixed!);
  if (!mask) return given as tf.Tensor1D;
  const seen = tf.max(tf.sum(mask, 2), 1);
  return tf.div(tf.mul(given, tf.squeeze(width!, [1])), seen) as tf.Tensor1D;
}

/** The published code takes all pictures for alike. */
function isUpstream(config: LoadedClassDetector['config']): boolean {
  return config.model_type === 'scalemae-det' && config.detector.parity === 'upstream';
}
