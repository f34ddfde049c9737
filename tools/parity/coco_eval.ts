// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  type CocoParams,
  type CocoResult,
  type CocoTruth,
  cocoEvaluate,
} from '../../src/train/evaluators/coco.js';
import type { CaseContext } from './context.js';

/** Parameters of a case; `half` means every other image or category, which `used` lists. */
interface CocoConfig {
  params: Record<string, unknown>;
  used: { imgIds: number[]; catIds: number[] };
}

/** Facts of the manifest beside the tensors. */
interface CocoFacts {
  tolerance?: number;
  stats: number[];
  ap: number;
  per_category: Record<string, [ap: number, ap50: number, ap75: number, ar: number]>;
  precision_sum: number;
  precision_missing: number;
  precision_sha256: string;
}

export function runCoco(context: CaseContext): void {
  const { params, used } = context.config as unknown as CocoConfig;
  const facts = context.entry as unknown as CocoFacts;
  const [truthFile, resultFile] = context.entry.files as [string, string];
  const truth = context.json<CocoTruth>(truthFile);
  const given: Record<string, unknown> = { ...params };
  for (const key of ['imgIds', 'catIds'] as const) if (given[key] === 'half') given[key] = used[key];
  const got = cocoEvaluate(truth, context.json<CocoResult[]>(resultFile), given as CocoParams);
  const tolerance = facts.tolerance ?? 1e-12;
  facts.stats.forEach((expected, i) => {
    context.compareNumber(`stats[${i}]`, got.stats[i]!, expected, tolerance);
  });
  context.compareNumber('ap', got.ap(), facts.ap, tolerance);
  const categories = got.perCategory();
  context.check('categories', categories.size === Object.keys(facts.per_category).length, 'other categories');
  for (const [id, expected] of Object.entries(facts.per_category)) {
    const own = categories.get(Number(id));
    const values = own ? [own.ap, own.ap50, own.ap75, own.ar] : [];
    expected.forEach((value, i) => {
      context.compareNumber(`per_category ${id}[${i}]`, values[i] ?? Number.NaN, value, tolerance);
    });
  }
  comparePrecision(context, got.precision, facts);
  const { iou, recall, category, area, maxDet } = got.counts;
  const shape = [iou, recall, category, area, maxDet];
  compareArray(context, 'out/precision', shape, got.precision, tolerance);
  compareArray(context, 'out/recall', [iou, category, area, maxDet], got.recall, tolerance);
}

/** The large array by sum, count and hash. A hash forgives nothing: where it differs, sum and count still must agree. */
function comparePrecision(context: CaseContext, precision: Float64Array, facts: CocoFacts): void {
  const present = precision.filter((value) => value > -1);
  const sum = present.reduce((total, value) => total + value, 0);
  context.compareNumber('precision_sum', sum, facts.precision_sum, 1e-12 * Math.max(1, present.length));
  context.compareNumber('precision_missing', precision.length - present.length, facts.precision_missing, 0);
  const bytes = new Uint8Array(precision.buffer, precision.byteOffset, precision.byteLength);
  const hash = createHash('sha256').update(bytes).digest('hex');
  context.check('precision_sha256', hash === facts.precision_sha256, 'other bytes');
}

function compareArray(
  context: CaseContext,
  name: string,
  shape: number[],
  data: Float64Array,
  tolerance: number,
): void {
  if (!context.has(name)) return;
  const stored = context.raw(name);
  context.check(
    `${name}: shape`,
    shape.join() === stored.shape.join(),
    `[${shape}] instead of [${stored.shape}]`,
  );
  let worst = data.length === stored.data.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < data.length; i++) worst = Math.max(worst, Math.abs(data[i]! - Number(stored.data[i])));
  context.compareNumber(name, worst, 0, tolerance);
  context.settle(name);
}
