// SPDX-License-Identifier: Apache-2.0
import type { CocoArrays } from './types.js';
import { AREA_NAMES } from './types.js';

/** Which entries of the arrays are averaged; anything left out means all. */
export interface Selection {
  /** One overlap, e.g. 0.5; it must be one of `iouThrs` exactly. */
  iou?: number;
  /** Index of the size class; default 0 (all). */
  area?: number;
  /** Value, not index; default the largest. */
  maxDet?: number;
  /** Index of the category. */
  category?: number;
}

/** Mean of the precisions (or recalls) selected; -1 when nothing is selected or nothing has truths. */
export function meanOf(which: 'precision' | 'recall', arrays: CocoArrays, selection: Selection = {}): number {
  const { params, counts } = arrays;
  const values = arrays[which];
  const inner = which === 'precision' ? counts.recall : 1;
  const m = params.maxDets.indexOf(selection.maxDet ?? params.maxDets.at(-1)!);
  const a = selection.area ?? 0;
  if (m < 0 || a >= counts.area) return -1;
  let sum = 0;
  let number = 0;
  for (let t = 0; t < counts.iou; t++) {
    if (selection.iou !== undefined && params.iouThrs[t] !== selection.iou) continue;
    for (let r = 0; r < inner; r++) {
      for (let k = 0; k < counts.category; k++) {
        if (selection.category !== undefined && selection.category !== k) continue;
        const at = (((t * inner + r) * counts.category + k) * counts.area + a) * counts.maxDet + m;
        const value = values[at]!;
        if (value <= -1) continue;
        sum += value;
        number++;
      }
    }
  }
  return number === 0 ? -1 : sum / number;
}

interface Row {
  which: 'precision' | 'recall';
  iou?: number;
  area: number;
  /** Index into `maxDets`, or a fixed number. */
  maxDet: { index: number } | { value: number };
}

/** The twelve rows of pycocotools' summary. The first is always taken at 100 detections. */
const ROWS: readonly Row[] = [
  { which: 'precision', area: 0, maxDet: { value: 100 } },
  { which: 'precision', iou: 0.5, area: 0, maxDet: { index: 2 } },
  { which: 'precision', iou: 0.75, area: 0, maxDet: { index: 2 } },
  ...[1, 2, 3].map((area): Row => ({ which: 'precision', area, maxDet: { index: 2 } })),
  ...[0, 1, 2].map((index): Row => ({ which: 'recall', area: 0, maxDet: { index } })),
  ...[1, 2, 3].map((area): Row => ({ which: 'recall', area, maxDet: { index: 2 } })),
];

function maxDetOf(row: Row, arrays: CocoArrays): number {
  if ('value' in row.maxDet) return row.maxDet.value;
  return arrays.params.maxDets[row.maxDet.index] ?? Number.NaN;
}

/** AP, AP50, AP75, AP small / medium / large, AR at each of `maxDets`, AR small / medium / large; -1 = not defined. */
export function summaryStats(arrays: CocoArrays): number[] {
  return ROWS.map((row) =>
    meanOf(row.which, arrays, { iou: row.iou, area: row.area, maxDet: maxDetOf(row, arrays) }),
  );
}

/** The twelve lines that pycocotools prints. */
export function summaryTable(arrays: CocoArrays): string {
  const { iouThrs } = arrays.params;
  const range = `${iouThrs[0]!.toFixed(2)}:${iouThrs.at(-1)!.toFixed(2)}`;
  const stats = summaryStats(arrays);
  return ROWS.map((row, i) => {
    const title = row.which === 'precision' ? 'Average Precision  (AP)' : 'Average Recall     (AR)';
    const iou = (row.iou === undefined ? range : row.iou.toFixed(2)).padEnd(9);
    const area = AREA_NAMES[row.area]!.padStart(6);
    const most = String(maxDetOf(row, arrays)).padStart(3);
    return ` ${title} @[ IoU=${iou} | area=${area} | maxDets=${most} ] = ${stats[i]!.toFixed(3)}`;
  }).join('\n');
}
