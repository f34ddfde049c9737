// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { cropObjects, gridWindows } from '../../../src/train/data/crops.js';
import { turnBox, turnImage } from '../../../src/train/data/turn.js';
import type { RgbImage } from '../../../src/train/data/types.js';

describe('gridWindows', () => {
  it('covers the area with windows inside it', () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.nat(50),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 10, max: 200 }),
        (x, y, width, height, size) => {
          const windows = gridWindows({ x, y, width, height }, size);
          const columns = new Set<number>();
          for (const w of windows) {
            expect(w.x).toBeGreaterThanOrEqual(x);
            expect(w.x + w.width).toBeLessThanOrEqual(x + width);
            expect(w.y + w.height).toBeLessThanOrEqual(y + height);
            for (let i = w.x; i < w.x + w.width; i++) columns.add(i);
          }
          expect(columns.size).toBe(width);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('cropObjects', () => {
  it('clips, scales and drops what is less than 40 % visible', () => {
    const objects = [
      { box: [10, 10, 30, 20] as const, category: 'a' },
      { box: [88, 40, 108, 60] as const, category: 'b' }, // 60 % visible
      { box: [93, 40, 113, 60] as const, category: 'c' }, // 35 % visible
      { box: [200, 200, 210, 210] as const, category: 'd' },
    ];
    const window = { x: 0, y: 0, width: 100, height: 100 };
    expect(cropObjects(objects, window, { width: 50, height: 200 })).toEqual([
      { box: [5, 20, 15, 40], category: 'a' },
      { box: [44, 80, 50, 120], category: 'b' },
    ]);
    expect(cropObjects(objects, window, window, 0.3)).toHaveLength(3);
  });
});

describe('turns', () => {
  /** White box on black. */
  function boxed(
    width: number,
    height: number,
    [x0, y0, x1, y1]: readonly [number, number, number, number],
  ): RgbImage {
    const data = new Uint8Array(width * height * 3);
    for (let y = y0; y < y1; y++) data.fill(255, (y * width + x0) * 3, (y * width + x1) * 3);
    return { width, height, data };
  }

  it('move pixels and boxes alike, all eight ways', () => {
    const size = { width: 9, height: 6 };
    const box = [1, 2, 4, 3] as const;
    for (let i = 0; i < 8; i++) {
      const turn = { transpose: (i & 1) === 1, mirrorX: (i & 2) === 2, mirrorY: (i & 4) === 4 };
      const turned = turnImage(boxed(size.width, size.height, box), turn);
      expect(turned).toEqual(boxed(turned.width, turned.height, turnBox(box, size, turn)));
    }
  });
});
