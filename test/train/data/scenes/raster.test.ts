// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Canvas, contains, ellipse, rasterise, strip } from '../../../../src/train/data/scenes/raster.js';

const total = (data: Float32Array): number => data.reduce((sum, v) => sum + v, 0);

describe('rasterise', () => {
  it('covers exactly the area of a polygon, whatever way round it is drawn', () => {
    const triangle = [
      [1.3, 2.1],
      [9.7, 4.4],
      [3.2, 11.9],
    ] as const;
    const area = Math.abs((9.7 - 1.3) * (11.9 - 2.1) - (3.2 - 1.3) * (4.4 - 2.1)) / 2;
    expect(total(rasterise([triangle])!.data)).toBeCloseTo(area, 3);
    expect(total(rasterise([[...triangle].reverse()])!.data)).toBeCloseTo(area, 3);
  });

  it('covers part of a pixel in proportion', () => {
    const mask = rasterise([
      [
        [1.25, 1],
        [3.5, 1],
        [3.5, 2],
        [1.25, 2],
      ],
    ])!;
    expect([mask.x, mask.y, mask.width, mask.height]).toEqual([1, 1, 3, 1]);
    expect([...mask.data]).toEqual([0.75, 1, 0.5]);
  });

  it('joins overlapping polygons instead of adding them', () => {
    const square = [
      [0, 0],
      [4, 0],
      [4, 4],
      [0, 4],
    ] as const;
    const other = [
      [2, 4],
      [2, 0],
      [6, 0],
      [6, 4],
    ] as const;
    expect(total(rasterise([square, other])!.data)).toBeCloseTo(24, 4);
  });

  it('clips at every side', () => {
    const big = [
      [-5, -5],
      [20, -5],
      [20, 20],
      [-5, 20],
    ] as const;
    const mask = rasterise([big], 8, 6)!;
    expect([mask.x, mask.y, mask.width, mask.height]).toEqual([0, 0, 8, 6]);
    expect(Math.min(...mask.data)).toBe(1);
    expect(rasterise([ellipse([-20, 3], 4, 4)], 8, 6)).toBeNull();
    const slanted = strip([-10, -10], [18, 16], 3);
    const inside = rasterise([slanted], 8, 6)!;
    const whole = rasterise([slanted])!;
    for (let y = 0; y < inside.height; y++) {
      for (let x = 1; x < inside.width - 1; x++) {
        const w = (inside.y + y - whole.y) * whole.width + inside.x + x - whole.x;
        expect(inside.data[y * inside.width + x]).toBeCloseTo(whole.data[w]!, 4);
      }
    }
  });

  it('blends by coverage', () => {
    const canvas = new Canvas(2, 1);
    canvas.polygon(
      [
        [0.5, 0],
        [2, 0],
        [2, 1],
        [0.5, 1],
      ],
      [200, 100, 40],
      0.5,
    );
    expect([...canvas.data]).toEqual([50, 25, 10, 100, 50, 20]);
  });

  it('tells inside from outside', () => {
    const circle = ellipse([5, 5], 3, 3);
    expect(contains(circle, 5, 7.5)).toBe(true);
    expect(contains(circle, 7.5, 7.5)).toBe(false);
  });
});
