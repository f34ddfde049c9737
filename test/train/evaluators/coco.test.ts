// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readSafetensorsSync } from '../../../src/models/weights/safetensors.js';
import {
  type CocoParams,
  type CocoResult,
  type CocoTruth,
  cocoEvaluate,
  IOU_THRESHOLDS,
  RECALL_THRESHOLDS,
} from '../../../src/train/evaluators/coco.js';

const FOLDER = join(import.meta.dirname, '..', '..', 'fixtures', 'coco-eval');

interface CocoCase {
  name: string;
  config: { params: Record<string, unknown>; used: { imgIds: number[]; catIds: number[] } };
  files: string[];
  tolerance: number;
  stats: number[];
  ap: number;
  per_category: Record<string, [number, number, number, number]>;
  precision_sum: number;
  precision_missing: number;
  precision_sha256: string;
  tensors: Record<string, unknown>;
}

const read = (file: string) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8'));
const manifest = read('manifest.json') as {
  cases: CocoCase[];
  thresholds: { iouThrs: number[]; recThrs: number[] };
};

function evaluateCase(one: CocoCase) {
  const truth = read(one.files[0]!) as CocoTruth;
  const results = read(one.files[1]!) as CocoResult[];
  const { imgIds, catIds } = one.config.used;
  const given = Object.entries(one.config.params).map(([key, value]) => {
    if (value !== 'half') return [key, value];
    return [key, key === 'imgIds' ? imgIds : catIds];
  });
  return cocoEvaluate(truth, results, Object.fromEntries(given) as CocoParams);
}

describe('COCO evaluation equals pycocotools', () => {
  it('has its thresholds to the last bit', () => {
    expect(IOU_THRESHOLDS).toEqual(manifest.thresholds.iouThrs);
    expect(RECALL_THRESHOLDS).toEqual(manifest.thresholds.recThrs);
  });

  it.each(manifest.cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
    const got = evaluateCase(one);
    const near = (value: number, wanted: number) =>
      expect(Math.abs(value - wanted)).toBeLessThanOrEqual(one.tolerance);
    expect(got.stats).toHaveLength(one.stats.length);
    got.stats.forEach((value, i) => {
      near(value, one.stats[i]!);
    });
    near(got.ap(), one.ap);
    const categories = got.perCategory();
    expect([...categories.keys()].map(String).sort()).toEqual(Object.keys(one.per_category).sort());
    for (const [id, wanted] of Object.entries(one.per_category)) {
      const { ap, ap50, ap75, ar } = categories.get(Number(id))!;
      [ap, ap50, ap75, ar].forEach((value, i) => {
        near(value, wanted[i]!);
      });
    }
    expect(got.precision.filter((value) => value === -1).length).toBe(one.precision_missing);
    const bytes = new Uint8Array(got.precision.buffer);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(one.precision_sha256);
    const recall = readSafetensorsSync(join(FOLDER, one.files[2]!)).get('out/recall')!;
    expect(Array.from(got.recall)).toEqual(Array.from(recall.data as Float64Array));
  });
});

describe('COCO evaluation', () => {
  const truth: CocoTruth = {
    images: [{ id: 1 }],
    categories: [{ id: 1, name: 'ship' }],
    annotations: [{ image_id: 1, category_id: 1, bbox: [0, 0, 10, 10] }],
  };
  const hit: CocoResult = { image_id: 1, category_id: 1, bbox: [0, 0, 10, 10], score: 0.9 };

  it('prints the lines pycocotools prints', () => {
    const lines = cocoEvaluate(truth, [hit]).table().split('\n');
    expect(lines).toHaveLength(12);
    expect(lines[0]).toBe(' Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000');
    expect(lines[5]).toBe(' Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = -1.000');
    expect(lines[6]).toBe(' Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 1.000');
  });

  it('names the record that cannot be evaluated', () => {
    const bad = (over: Partial<CocoResult>) => () => cocoEvaluate(truth, [hit, { ...hit, ...over }]);
    expect(bad({ score: Number.NaN })).toThrow('results[1] (image 1): score must be a finite number');
    expect(bad({ bbox: [0, 0, 1] })).toThrow('results[1] (image 1): bbox must be four finite numbers');
    expect(bad({ image_id: 9 })).toThrow('results[1] (image 9): that image is not among the images');
  });
});
