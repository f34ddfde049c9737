// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { cp, readFile, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { type Detector, load } from '../src/detector.js';
import { ready } from '../src/engine/index.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { generateScene } from '../src/train/data/scenes/index.js';
import { encodePng } from '../src/viz/overlay.js';
import { writeUntrainedModel } from './untrained_model.js';

let folder: string;
let model: Detector;
let png: Buffer;

beforeAll(async () => {
  await ready();
  folder = mkdtempSync(join(tmpdir(), 'tfgeo-detect-'));
  await writeUntrainedModel(join(folder, 'model'));
  model = await load(join(folder, 'model'));
  png = await encodePng(generateScene(11, { size: 128 }).image);
  await writeFile(join(folder, 'scene.png'), png);
});
afterAll(() => {
  model.dispose();
  rmSync(folder, { recursive: true });
});

/** The error of a promise that must fail with one the user can mend. */
async function mistake(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).not.toContain('\n');
  return error as UserError;
}

describe('detect', () => {
  it('gives parallel lists, best first, in pixels of the picture, with the words as typed', async () => {
    const prompt = 'The RED Ships, and the white plane';
    const { boxes, scores, phrases, spans, set } = await model.detect(png, prompt, { threshold: 0 });
    expect(boxes.length).toBeGreaterThan(0);
    expect(new Set([boxes.length, scores.length, phrases.length, spans.length])).toEqual(
      new Set([boxes.length]),
    );
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
    for (const [x0, y0, x1, y1] of boxes) {
      expect(x0).toBeGreaterThanOrEqual(0);
      expect(y0).toBeGreaterThanOrEqual(0);
      expect(x1).toBeLessThanOrEqual(128);
      expect(y1).toBeLessThanOrEqual(128);
    }
    const chars = [...prompt];
    spans.forEach((own, i) => {
      expect(own.map(([begin, end]) => chars.slice(begin, end).join('')).join(' ')).toBe(phrases[i]);
    });
    expect(set).toMatchObject({ width: 128, height: 128, prompt, georeference: null });
  });

  it('takes a path, bytes and a tensor alike', async () => {
    const { image } = generateScene(11, { size: 128 });
    const tensor = tf.tensor3d(Float32Array.from(image.data), [128, 128, 3]);
    const [byPath, byBytes, byTensor] = await Promise.all(
      [join(folder, 'scene.png'), png, tensor].map((input) => model.detect(input, 'ships', { threshold: 0 })),
    );
    expect(byBytes!.boxes).toEqual(byPath!.boxes);
    expect(byTensor!.boxes).toEqual(byPath!.boxes);
    tensor.dispose();
  });

  it('cuts a large picture into tiles and leaves no tensor behind', async () => {
    const large = await encodePng(generateScene(12, { size: 400 }).image);
    await model.detect(png, 'ships');
    const before = tf.memory().numTensors;
    const seen: [number, number][] = [];
    const { set } = await model.detect(large, 'ships', {
      tile: 160,
      overlap: 32,
      onProgress: (done, total) => seen.push([done, total]),
    });
    expect(set.width).toBe(400);
    expect(seen.at(-1)).toEqual([9, 9]);
    await model.detect(large, 'ships', { tile: 160, overlap: 32 });
    const after = tf.memory().numTensors;
    await model.detect(large, 'ships', { tile: 160, overlap: 32 });
    expect(tf.memory().numTensors).toBe(after);
    // Tables of attention windows are kept, one set a picture size.
    expect(after - before).toBeLessThan(100);
  });
});

describe('mistakes', () => {
  it('refuses an empty prompt and one that is too long, with both numbers', async () => {
    expect((await mistake(model.detect(png, '  '))).message).toContain('empty');
    const long = await mistake(model.detect(png, 'ship '.repeat(300)));
    expect(long.message).toMatch(/\d+ tokens.*at most \d+/);
  });

  it('refuses pictures that are missing, empty or cut short', async () => {
    expect((await mistake(model.detect(join(folder, 'none.png'), 'ships'))).exitCode).toBe(EXIT_CODES.data);
    expect((await mistake(model.detect(Buffer.alloc(0), 'ships'))).exitCode).toBe(EXIT_CODES.data);
    expect((await mistake(model.detect(png.subarray(0, png.length / 2), 'ships'))).exitCode).toBe(
      EXIT_CODES.data,
    );
  });

  it('refuses options and tensors that make no sense', async () => {
    expect((await mistake(model.detect(png, 'ships', { threshold: 2 }))).message).toContain('threshold');
    expect((await mistake(model.detect(png, 'ships', { tile: 3 }))).message).toContain('tile');
    const grey = tf.zeros([8, 8, 1]) as tf.Tensor3D;
    expect((await mistake(model.detect(grey, 'ships'))).message).toContain('[8,8,1]');
    grey.dispose();
  });

  it('refuses a model folder that is missing, incomplete, empty or cut short, naming the file', async () => {
    const missing = await mistake(load(join(folder, 'nowhere')));
    expect(missing.exitCode).toBe(EXIT_CODES.checkpoint);
    const broken = join(folder, 'broken');
    await cp(join(folder, 'model'), broken, { recursive: true });
    const weights = join(broken, 'model.safetensors');
    const size = (await readFile(weights)).length;
    for (const bytes of [size - 100, 20, 0]) {
      await truncate(weights, bytes);
      const error = await mistake(load(broken));
      expect(error.exitCode).toBe(EXIT_CODES.checkpoint);
      expect(error.message).toContain('model.safetensors');
    }
    await writeFile(join(broken, 'config.json'), '{');
    expect((await mistake(load(broken))).message).toContain('config.json');
  });
});
