// SPDX-License-Identifier: Apache-2.0
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Detector, load } from '../src/detector.js';
import { ready } from '../src/engine/index.js';
import { modelPlace } from '../src/models/bundled.js';
import { iouXyxy } from '../src/models/nms.js';
import { namedScene } from '../src/train/data/scenes/index.js';
import { evaluateModel } from '../src/train/grounding/evaluate_model.js';
import { runCommand } from './bin/run_command.js';

const NAME = 'mdetr-g-minilm-tiny';
const MAX_BYTES = 10e6;

let model: Detector;
beforeAll(async () => {
  await ready();
  expect((await runCommand('setup', '--text', 'minilm')).code).toBe(0);
  model = await load(NAME);
});
afterAll(() => model.dispose());

describe('the model of the package over MiniLM', () => {
  it('is found by name, and small', () => {
    expect(modelPlace(NAME)).not.toBe(NAME);
    expect(modelPlace('mdetr-g-other')).toBe('mdetr-g-other');
    expect(statSync(join(modelPlace(NAME), 'model.safetensors')).size).toBeLessThan(MAX_BYTES);
  });

  it('understands words that its training never showed', async () => {
    const scene = namedScene('harbour', 7, { size: 160 });
    const [found] = await model.detectImages([scene.image], 'the crimson vessels', 0.1);
    const best = found!.reduce((a, b) => (b.score > a.score ? b : a));
    const reds = scene.objects.filter(({ kind, colour }) => kind === 'ship' && colour === 'red');
    expect(Math.max(...reds.map(({ box }) => iouXyxy(box, best.box)))).toBeGreaterThan(0.5);
  });

  it('finds most of what it finds with words of training, and more than with another picture’s sentence', async () => {
    const { figures, swapped, seenWords } = await evaluateModel({
      folder: NAME,
      data: 'scenes-unseen-words',
      path: null,
      split: 'test',
      limit: 60,
    });
    expect(figures.AP50 / seenWords!.figures.AP50).toBeGreaterThan(0.7);
    expect(figures.AP50 - swapped.AP50).toBeGreaterThan(0.15);
  });
});
