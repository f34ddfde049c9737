// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Detector, load } from '../src/detector.js';
import { ready } from '../src/engine/index.js';
import { BUNDLED_MODEL } from '../src/models/bundled.js';
import { iouXyxy } from '../src/models/nms.js';
import type { Detection, RgbImage } from '../src/models/types.js';
import { namedScene, type SceneObject } from '../src/train/data/scenes/index.js';
import { evaluateModel } from '../src/train/grounding/evaluate_model.js';

let model: Detector;
beforeAll(async () => {
  await ready();
  model = await load();
});
afterAll(() => model.dispose());

/** Objects of this kind and colour that a detection lies on. */
function hits(found: readonly Detection[], wanted: readonly SceneObject[]): number {
  return wanted.filter(({ box }) => found.some((detection) => iouXyxy(detection.box, box) > 0.5)).length;
}

describe('the model of the package', () => {
  const scene = namedScene('harbour', 7, { size: 160 });
  const of = (kind: string, colour: string) =>
    scene.objects.filter((object) => object.kind === kind && object.colour === colour);
  const ask = async (image: RgbImage, prompt: string) => (await model.detectImages([image], prompt, 0.3))[0]!;

  it('answers two sentences about one picture with different boxes, each on what it names', async () => {
    const [reds, tanks] = [
      await ask(scene.image, 'the red ships'),
      await ask(scene.image, 'the white tanks'),
    ];
    const [ships, whites] = [of('ship', 'red'), of('tank', 'white')];
    expect(ships.length).toBeGreaterThan(0);
    expect(whites.length).toBeGreaterThan(0);
    expect(hits(reds, ships)).toBeGreaterThan(hits(reds, whites));
    expect(hits(tanks, whites)).toBeGreaterThan(hits(tanks, ships));
    for (const { phrase } of reds) expect(phrase).toMatch(/red|ships/);
  });

  it('finds more with the right sentence than with another picture’s', async () => {
    const { figures, swapped } = await evaluateModel({
      folder: BUNDLED_MODEL,
      data: 'scenes',
      path: null,
      split: 'test',
      limit: 40,
    });
    expect(figures.AP50).toBeGreaterThan(0.6);
    expect(figures.AP50 - swapped.AP50).toBeGreaterThan(0.4);
  });
});
