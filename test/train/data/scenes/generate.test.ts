// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Random } from '../../../../src/random.js';
import {
  augment,
  BACKGROUND_NAMES,
  COLOURS,
  generateScene,
  jitterPhotometry,
  KIND_NAMES,
  NAMED_SCENE_NAMES,
  namedScene,
  type Scene,
  turnScene,
} from '../../../../src/train/data/scenes/index.js';
import { KINDS } from '../../../../src/train/data/scenes/kinds/index.js';
import {
  LEAST_SIZE,
  LEAST_VISIBLE,
  layOut,
  SOLID_COVERAGE,
} from '../../../../src/train/data/scenes/layout.js';
import { Canvas } from '../../../../src/train/data/scenes/raster.js';

const scenes = Array.from({ length: 250 }, (_, i) => generateScene(i));
const objects = scenes.flatMap((scene) => scene.objects);

describe('generateScene', () => {
  it('gives the same bytes for the same seed and others for another', () => {
    expect(generateScene(7)).toEqual(scenes[7]);
    expect(generateScene(8).image.data).not.toEqual(scenes[7]!.image.data);
  });

  it('shows every kind, colour and background, 1 to 15 objects, sizes from 8 pixels, every heading', () => {
    expect(new Set(objects.map((o) => o.kind)).size).toBe(KIND_NAMES.length);
    expect(KIND_NAMES.length).toBeGreaterThanOrEqual(8);
    expect(new Set(objects.map((o) => o.colour)).size).toBe(COLOURS.length);
    expect(COLOURS.length).toBeGreaterThanOrEqual(8);
    expect(new Set(scenes.map((s) => s.background)).size).toBe(BACKGROUND_NAMES.length);
    const counts = scenes.map((s) => s.objects.length);
    expect(Math.min(...counts)).toBe(1);
    expect(Math.max(...counts)).toBeGreaterThanOrEqual(12);
    expect(Math.max(...counts)).toBeLessThanOrEqual(15);
    const octants = new Set(objects.map((o) => Math.floor(o.heading / 45)));
    expect([...octants].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const longest = objects
      .map((o) => Math.max(o.box[2] - o.box[0], o.box[3] - o.box[1]))
      .sort((a, b) => a - b);
    expect(longest[0]).toBeGreaterThanOrEqual(LEAST_SIZE);
    expect(longest[0]).toBeLessThanOrEqual(10);
    const median = longest[longest.length >> 1]!;
    expect(median).toBeGreaterThan(18);
    expect(median).toBeLessThan(30);
  });

  it('keeps boxes whole, inside, and of things that show enough of themselves', () => {
    for (const { image, objects: own } of scenes) {
      for (const { box, visible, area } of own) {
        const [x0, y0, x1, y1] = box;
        expect(box.every(Number.isInteger)).toBe(true);
        expect(x0 >= 0 && y0 >= 0 && x0 < x1 && y0 < y1 && x1 <= image.width && y1 <= image.height).toBe(
          true,
        );
        expect(visible).toBeGreaterThanOrEqual(LEAST_VISIBLE);
        expect(area).toBeLessThanOrEqual((x1 - x0) * (y1 - y0));
      }
    }
    expect(objects.filter((o) => o.visible < 1).length).toBeGreaterThan(objects.length * 0.03);
  });

  it('has touching neighbours', () => {
    const touching = scenes.filter(({ objects: own }) =>
      own.some((a, i) =>
        own.some(
          (b, j) =>
            j > i &&
            a.box[0] <= b.box[2] &&
            b.box[0] <= a.box[2] &&
            a.box[1] <= b.box[3] &&
            b.box[1] <= a.box[3],
        ),
      ),
    );
    expect(touching.length).toBeGreaterThan(20);
  });

  it.each(KIND_NAMES)('boxes the pixels that a %s covers', (kind) => {
    const [width, height] = [120, 90];
    const flat = { base: KINDS[kind].surfaces[0]!, regions: [], landmarks: [] };
    const options = { width, height, scale: 1.2, difficulty: 'standard' as const };
    for (let seed = 0; seed < 25; seed++) {
      const random = new Random(seed);
      const [object] = layOut([{ kind, colour: 'red' }], flat, options, random);
      const canvas = new Canvas(width, height);
      for (const part of object!.parts) canvas.polygon(part.points, [255, 255, 255]);
      const extent = [width, height, 0, 0];
      for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i += 3) {
          if (canvas.data[i]! < 255 * SOLID_COVERAGE) continue;
          extent[0] = Math.min(extent[0]!, x);
          extent[1] = Math.min(extent[1]!, y);
          extent[2] = Math.max(extent[2]!, x + 1);
          extent[3] = Math.max(extent[3]!, y + 1);
        }
      }
      object!.box.forEach((side, i) => {
        expect(Math.abs(side - extent[i]!)).toBeLessThanOrEqual(1);
      });
    }
  });

  it.each([64, 100, 333, 1024, 2048])('works at %i pixels', (size) => {
    const scene = generateScene(3, { size });
    expect(scene.image.data.length).toBe(size * size * 3);
    expect(scene.objects.length).toBeGreaterThan(0);
    expect(new Set(scene.image.data.subarray(0, 3000)).size).toBeGreaterThan(5);
  });

  it('works on oblong pictures and keeps to the asked number, background and difficulty', () => {
    const scene = generateScene(5, {
      size: 240,
      height: 120,
      count: 4,
      background: 'yard',
      difficulty: 'easy',
    });
    expect([scene.image.width, scene.image.height, scene.background]).toEqual([240, 120, 'yard']);
    expect(scene.objects.length).toBeLessThanOrEqual(4);
    for (const o of scene.objects) expect(o.size).toBeGreaterThanOrEqual(14);
  });

  it('refuses what it cannot do, with a remedy', () => {
    expect(() => generateScene(1, { size: 32 })).toThrow('64 to 2048');
    expect(() => generateScene(1, { count: 0 })).toThrow('1 to 400');
    expect(() => generateScene(1, { background: 'harbor' as 'harbour' })).toThrow('did you mean "harbour"');
  });

  it('draws every kind inside its own frame', () => {
    for (const kind of KIND_NAMES) {
      const spec = KINDS[kind];
      for (let seed = 0; seed < 10; seed++) {
        const random = new Random(seed);
        const aspect = random.range(spec.aspect[0], spec.aspect[1]);
        for (const part of spec.draw(aspect, random)) {
          for (const [x, y] of part.points) {
            expect(Math.abs(x)).toBeLessThanOrEqual(0.5001);
            expect(Math.abs(y)).toBeLessThanOrEqual(aspect / 2 + 0.025);
          }
        }
      }
    }
  });
});

describe('namedScene', () => {
  it.each(NAMED_SCENE_NAMES)('%s has its whole cast', (name) => {
    const first = namedScene(name, 1, { size: 320 });
    expect(first.objects.length).toBeGreaterThanOrEqual(8);
    expect(namedScene(name, 1, { size: 320 })).toEqual(first);
  });

  it('harbour has ships of several colours and a pier', () => {
    for (let seed = 0; seed < 6; seed++) {
      const scene = namedScene('harbour', seed);
      const ships = scene.objects.filter((o) => o.kind === 'ship');
      expect(new Set(ships.map((o) => o.colour))).toEqual(new Set(['red', 'white', 'blue']));
      expect(scene.landmarks.map((m) => m.kind)).toContain('pier');
    }
  });

  it('names what it knows', () => {
    expect(() => namedScene('harbor', 1)).toThrow('did you mean "harbour"');
  });
});

describe('turnScene', () => {
  const scene = generateScene(11, { size: 96, height: 72 });

  it('moves pixels, boxes and polygons together', () => {
    for (let code = 0; code < 8; code++) {
      const turn = { transpose: (code & 1) > 0, mirrorX: (code & 2) > 0, mirrorY: (code & 4) > 0 };
      const turned = turnScene(scene, turn);
      turned.objects.forEach((object, i) => {
        const before = crop(scene, scene.objects[i]!.box);
        expect(crop(turned, object.box)).toEqual(before);
        const [x, y] = centroid(object.polygon);
        const forward = [
          (object.polygon[0]![0] + object.polygon[1]![0]) / 2 - x,
          (object.polygon[0]![1] + object.polygon[1]![1]) / 2 - y,
        ];
        const t = (object.heading * Math.PI) / 180;
        expect(forward[0]! / (object.size / 2)).toBeCloseTo(Math.sin(t), 4);
        expect(forward[1]! / (object.size / 2)).toBeCloseTo(-Math.cos(t), 4);
      });
    }
  });

  it('undoes itself', () => {
    const turn = { transpose: true, mirrorX: false, mirrorY: false };
    const back = turnScene(turnScene(scene, turn), turn);
    expect(back.image).toEqual(scene.image);
    expect(back.objects.map((o) => o.box)).toEqual(scene.objects.map((o) => o.box));
  });

  it('augments from the random numbers alone and leaves its input be', () => {
    const before = scene.image.data.slice();
    expect(augment(scene, new Random(3))).toEqual(augment(scene, new Random(3)));
    expect(scene.image.data).toEqual(before);
    const lit = jitterPhotometry(scene.image, new Random(4));
    expect(lit.data).not.toEqual(before);
  });
});

/** The colours of a box in no order, so that turned boxes can be compared. */
function crop(scene: Scene, [x0, y0, x1, y1]: readonly [number, number, number, number]): number[] {
  const colours: number[] = [];
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const i = (y * scene.image.width + x) * 3;
      const { data } = scene.image;
      colours.push((data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!);
    }
  }
  return colours.sort((a, b) => a - b);
}

function centroid(points: readonly (readonly [number, number])[]): [number, number] {
  const n = points.length;
  return [points.reduce((s, p) => s + p[0], 0) / n, points.reduce((s, p) => s + p[1], 0) / n];
}
