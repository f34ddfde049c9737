// SPDX-License-Identifier: Apache-2.0
import { classMask } from '../detect_classes.js';
import type { LoadedClassDetector } from '../model_folder.js';
import { normalisePixels, selectByClass } from './detections.js';
import type { Exportable, ExportQuery } from './types.js';

/** @throws UserError for a class that the model does not have */
export function classExportable(
  { model, config }: Pick<LoadedClassDetector, 'model' | 'config'>,
  { prompts, maxDetections }: ExportQuery,
): Exportable {
  classMask(config.labels, prompts)?.dispose();
  return {
    kind: config.preset,
    module: model,
    imageSize: config.imageSize,
    multiple: config.preprocess.multiple,
    threshold: config.threshold,
    inputs: [],
    query: null,
    labels: config.labels,
    assets: {},
    run: ({ pixels, mask, sizes }) => {
      const normalised = normalisePixels(pixels, mask, config.preprocess);
      const { pred_logits, pred_boxes } = model.forward({ pixels: normalised, pixelMask: mask });
      const raw = { pred_logits, pred_boxes };
      const selection = { threshold: config.threshold, maxDetections };
      return { raw, detections: selectByClass(raw, sizes, classMask(config.labels, prompts), selection) };
    },
  };
}
