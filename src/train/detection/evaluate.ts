// SPDX-License-Identifier: Apache-2.0
import type { BoxXyxy, Detection } from '../../models/types.js';
import type { Sample } from '../data/types.js';
import { type CocoEvaluation, cocoEvaluate } from '../evaluators/index.js';
import type { Figures } from '../task.js';

const asCorner = ([x0, y0, x1, y1]: BoxXyxy) => [x0, y0, x1 - x0, y1 - y0];

/** COCO's evaluation of what was found in each picture. @param labels names of the classes by number */
export function evaluateDetections(
  samples: readonly Sample[],
  found: readonly (readonly Detection[])[],
  labels: readonly string[],
): CocoEvaluation {
  const numbers = new Map(labels.map((name, id) => [name, id]));
  const truth = {
    images: samples.map((_, id) => ({ id })),
    categories: labels.map((name, id) => ({ id, name })),
    annotations: samples.flatMap(({ objects }, image_id) =>
      objects.map(({ box, category, crowd }) => ({
        image_id,
        category_id: numbers.get(category) ?? -1,
        bbox: asCorner(box),
        ...(crowd === true ? { iscrowd: 1 as const } : {}),
      })),
    ),
  };
  const results = found.flatMap((detections, image_id) =>
    detections.map(({ box, score, category }) => ({
      image_id,
      category_id: numbers.get(category!)!,
      bbox: asCorner(box),
      score,
    })),
  );
  return cocoEvaluate(truth, results);
}

/** The figures of an evaluation by name; classes without any truth are left out. */
export function detectionFigures(evaluation: CocoEvaluation, labels: readonly string[]): Figures {
  const figures: Figures = {
    AP: evaluation.ap(),
    AP50: evaluation.ap({ iou: 0.5 }),
    AP75: evaluation.ap({ iou: 0.75 }),
    AR: evaluation.ar(),
  };
  for (const [id, { ap50 }] of evaluation.perCategory()) {
    if (ap50 >= 0) figures[`class/${labels[id]}/AP50`] = ap50;
  }
  return figures;
}
