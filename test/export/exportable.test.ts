// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { isTracing, ready, SavedModelSession } from '../../src/engine/index.js';
import { exportModel, readSavedModel } from '../../src/export/index.js';
import type {
  Exportable,
  ExportQuery,
  ExportSource,
  PictureBatch,
} from '../../src/models/exportable/index.js';
import { Module } from '../../src/models/module.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-exportable-'));
const at = (name: string) => join(root, name);
beforeAll(() => ready({ engine: 'tensorflow' }));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A detector of a kind of its own: its boxes depend on the ground that a pixel covers. */
class Brightest extends Module implements ExportSource {
  private readonly gain = this.parameter('gain', { shape: [1], init: { kind: 'constant', value: 0.5 } });

  /** @param change of what is traced, beside what is run */
  constructor(private readonly change = 0) {
    super();
  }

  exportable({ maxDetections }: ExportQuery): Exportable {
    return {
      kind: 'brightest',
      module: this,
      imageSize: 32,
      multiple: 1,
      threshold: 0.25,
      inputs: [
        { name: 'metres_per_pixel', dtype: 'float32', shape: [], example: (n) => Float32Array.of(1 + n) },
      ],
      query: null,
      labels: ['bright'],
      assets: { 'note.txt': 'made for a test' },
      run: (pictures, extra) => this.run(pictures, extra.metres_per_pixel as tf.Tensor1D, maxDetections),
    };
  }

  private run({ pixels, sizes }: PictureBatch, metres: tf.Tensor1D, most: number) {
    const brightness = tf.div(tf.mean(pixels, [2, 3]), 255) as tf.Tensor2D; // [batch, H]
    const best = tf.topk(brightness, most, true);
    const scores = tf.add(best.values, isTracing() ? this.change : 0);
    const side = tf.expandDims(tf.mul(metres, this.gain), 1);
    const rows = tf.cast(best.indices, 'float32');
    const bottom = tf.mul(tf.onesLike(scores), tf.slice(sizes, [0, 1], [-1, 1]));
    const boxes = tf.stack([rows, rows, tf.add(rows, side), bottom], 2);
    return { raw: { brightness: tf.expandDims(brightness, 2) }, detections: { boxes, scores } };
  }
}

describe('a detector that the exporter knows nothing of', () => {
  it('is exported with inputs, outputs and files of its own', async () => {
    const detector = new Brightest();
    const before = tf.memory().numTensors;
    const { check } = await exportModel(detector, at('own'), { maxDetections: 3 });
    expect(check!.largest).toBeLessThan(1e-4);
    expect(tf.memory().numTensors).toBe(before);
    const { signatures, graph } = await readSavedModel(at('own'));
    expect([...signatures.get('detect')!.inputs.keys()]).toEqual(['pixels', 'metres_per_pixel']);
    expect([...signatures.get('detect')!.outputs.keys()]).toEqual(['boxes', 'scores']);
    expect([...signatures.get('raw')!.outputs.keys()]).toEqual(['brightness']);
    expect(graph.nodes.map(({ name }) => name)).toContain('gain');
    expect(readFileSync(at('own/assets/note.txt'), 'utf8')).toBe('made for a test');
    const session = SavedModelSession.open(at('own'));
    const pixels = new Uint8Array(3 * 32 * 32 * 3);
    for (const item of [0, 1, 2]) pixels.fill(255, (item * 32 + 4 + item) * 96, (item * 32 + 5 + item) * 96);
    const [boxes] = await session.run(
      new Map([
        ['pixels:0', { dtype: 'uint8', shape: [3, 32, 32, 3], values: pixels }],
        ['metres_per_pixel:0', { dtype: 'float32', shape: [3], values: Float32Array.of(2, 4, 6) }],
      ]),
      [signatures.get('detect')!.outputs.get('boxes')!.name],
    );
    session.close();
    const firsts = [0, 1, 2].map((item) => [
      ...(boxes!.values as Float32Array).subarray(item * 12, item * 12 + 4),
    ]);
    expect(firsts).toEqual([
      [4, 4, 5, 32],
      [5, 5, 7, 32],
      [6, 6, 9, 32],
    ]);
    detector.dispose();
  });

  it('whose graph answers otherwise is not left behind, unless it is not to be checked', async () => {
    const detector = new Brightest(2e-4);
    const before = tf.memory().numTensors;
    await expect(exportModel(detector, at('wrong'), { maxDetections: 3 })).rejects.toThrow(
      /check of the export failed: .*differs from its model by 2\.0\de-4/,
    );
    expect(readdirSync(root).filter((name) => name.includes('wrong'))).toEqual([]);
    expect(tf.memory().numTensors).toBe(before);
    await exportModel(detector, at('wrong'), { maxDetections: 3, check: false });
    expect(existsSync(at('wrong/saved_model.pb'))).toBe(true);
    detector.dispose();
  });

  it('that depends on the batch in ways of its own is refused, and nothing stays in memory', async () => {
    const detector = new Brightest();
    const odd: ExportSource = {
      exportable: (query) => {
        const own = detector.exportable(query);
        return {
          ...own,
          run: (pictures, extra) => {
            const { raw, detections } = own.run(pictures, extra);
            const scores = tf.mul(detections.scores!, pictures.pixels.shape[0] ** 2);
            return { raw, detections: { ...detections, scores } };
          },
        };
      },
    };
    const before = tf.memory().numTensors;
    await expect(exportModel(odd, at('odd'), { maxDetections: 3 })).rejects.toThrow(
      /--batch dynamic.*give a number instead/,
    );
    expect(tf.memory().numTensors).toBe(before);
    await exportModel(odd, at('odd'), { maxDetections: 3, batch: 2, check: false });
    detector.dispose();
  });
});
