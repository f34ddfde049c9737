// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../../errors.js';
import type { CocoParams, CocoResult, CocoTruth, ResolvedParams } from './types.js';

/** 0.5, 0.55, ... 0.95 with the rounding of `numpy.linspace` (the ninth is 0.8999999999999999). */
export const IOU_THRESHOLDS: readonly number[] = linspace(0.5, 0.95, 10);

/** 0, 0.01, ... 1: `i * 0.01`, which is not always `i / 100`. */
export const RECALL_THRESHOLDS: readonly number[] = linspace(0, 1, 101);

const AREAS: ResolvedParams['areaRng'] = [
  [0, 1e10],
  [0, 32 ** 2],
  [32 ** 2, 96 ** 2],
  [96 ** 2, 1e10],
];

function linspace(first: number, last: number, count: number): number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? last : first + i * step));
}

/** Fills in defaults; ids and `maxDets` come out ascending, as pycocotools has them. */
export function resolveParams(truth: CocoTruth, params: CocoParams): ResolvedParams {
  const useCats = params.useCats ?? 1;
  const sorted = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b);
  return {
    imgIds: sorted(params.imgIds ?? truth.images.map(({ id }) => id)),
    catIds: sorted(params.catIds ?? truth.categories.map(({ id }) => id)),
    iouThrs: params.iouThrs ?? IOU_THRESHOLDS,
    recThrs: params.recThrs ?? RECALL_THRESHOLDS,
    maxDets: [...(params.maxDets ?? [1, 10, 100])].sort((a, b) => a - b),
    areaRng: params.areaRng ?? AREAS,
    useCats,
  };
}

/** Refuses records an evaluation cannot take; names the record by its position in its list. */
export function checkRecords(truth: CocoTruth, results: readonly CocoResult[]): void {
  const images = new Set(truth.images.map(({ id }) => id));
  const refuse = (where: string, problem: string): never => {
    throw new UserError(`${where}: ${problem}`, EXIT_CODES.data);
  };
  const checkBox = (where: string, box: unknown) => {
    const fine = Array.isArray(box) && box.length === 4 && box.every((value) => Number.isFinite(value));
    if (!fine)
      refuse(where, `bbox must be four finite numbers [x, y, width, height], it is ${JSON.stringify(box)}`);
  };
  truth.annotations.forEach(({ bbox, image_id }, i) => {
    checkBox(`annotations[${i}] (image ${image_id})`, bbox);
  });
  results.forEach(({ bbox, score, image_id }, i) => {
    const where = `results[${i}] (image ${image_id})`;
    checkBox(where, bbox);
    if (!Number.isFinite(score)) refuse(where, `score must be a finite number, it is ${score}`);
    if (!images.has(image_id)) refuse(where, 'that image is not among the images of the truth');
  });
}
