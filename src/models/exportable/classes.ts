// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { backboneCountsMetres } from '../backbones/index.js';
import { classMask } from '../detect_classes.js';
import type { LoadedClassDetector } from '../model_folder.js';
import { ScaleMaeDet } from '../scalemae_det/index.js';
import { normalisePixels, placeDetections, selectByClass } from './detections.js';
import type { Exportable, ExportQuery } from './types.js';

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
    run: ({ pixels, mask, sizes }, extra) => {
      const normalised = normalisePixels(pixels, mask, config.preprocess);
      const gsd = metresOf(config, extra, metresPerPixel, pixels.shape[0]);
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
  return [{ name: METRES, dtype: 'float32', shape: [], example }];
}

function metresOf(
  config: LoadedClassDetector['config'],
  extra: Readonly<Record<string, tf.Tensor>>,
  metresPerPixel: number | undefined,
  batch: number,
): tf.Tensor1D | null {
  if (!backboneCountsMetres(config.backbone.name) || isUpstream(config)) return null;
  return (extra[METRES] as tf.Tensor1D | undefined) ?? tf.fill([batch], metresPerPixel!);
}

/** The published code takes all pictures for alike. */
function isUpstream(config: LoadedClassDetector['config']): boolean {
  return config.model_type === 'scalemae-det' && config.detector.parity === 'upstream';
}
