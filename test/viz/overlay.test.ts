// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import type { RgbImage } from '../../src/geo/index.js';
import { contactSheet, type DrawnBox, drawOverlay, encodePng } from '../../src/viz/overlay.js';
import { escapeXml } from '../../src/viz/svg.js';

const grey: RgbImage = { width: 100, height: 80, data: new Uint8Array(100 * 80 * 3).fill(90) };

async function pixels(
  png: Uint8Array,
): Promise<{ at: (x: number, y: number) => number[]; width: number; height: number }> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number): number[] => {
    const from = (y * info.width + x) * info.channels;
    return [...data.subarray(from, from + 3)];
  };
  return { at, width: info.width, height: info.height };
}

const isGround = (rgb: number[]): boolean => rgb.every((v) => Math.abs(v - 90) < 4);

describe('drawOverlay', () => {
  it('frames each box where it lies, in one colour per phrase', async () => {
    const boxes: DrawnBox[] = [
      { box: [10, 10, 30, 30], phrase: 'boats', score: 0.9 },
      { box: [50, 10, 70, 30], phrase: 'boats', score: 0.8 },
      { box: [50, 50, 90, 70], phrase: 'pier' },
    ];
    const { at, width, height } = await pixels(await drawOverlay(grey, boxes, { scale: 1, labels: false }));
    expect([width, height]).toEqual([100, 80]);
    expect(at(10, 20)).toEqual(at(50, 20));
    expect(at(10, 20)).not.toEqual(at(50, 60));
    for (const [x, y] of [
      [10, 20],
      [30, 20],
      [20, 10],
      [20, 30],
      [90, 60],
    ] as const)
      expect(isGround(at(x, y))).toBe(false);
    for (const [x, y] of [
      [20, 20],
      [40, 20],
      [70, 60],
      [5, 5],
    ] as const)
      expect(isGround(at(x, y))).toBe(true);
  });

  it('enlarges small pictures and keeps boxes in place', async () => {
    const { at, width } = await pixels(
      await drawOverlay(grey, [{ box: [10, 10, 30, 30], phrase: 'a' }], { labels: false }),
    );
    expect(width).toBe(700);
    expect(isGround(at(140, 140))).toBe(true);
    expect(isGround(at(70, 140))).toBe(false);
    expect(isGround(at(210, 140))).toBe(false);
  });

  it('takes any words, from nothing to hundreds of boxes', async () => {
    const nasty = 'a <b> & "c" \u0000\u001b \ud800 é 船 </text></svg>';
    const many = Array.from(
      { length: 300 },
      (_, i): DrawnBox => ({
        box: [i % 90, i % 70, (i % 90) + 9, (i % 70) + 9],
        phrase: `${nasty}${i % 30}`,
        score: i / 300,
      }),
    );
    for (const boxes of [[], many.slice(0, 5), many.slice(0, 60), many]) {
      const { width } = await pixels(await drawOverlay(grey, boxes, { title: nasty.repeat(20) }));
      expect(width).toBe(700);
    }
  });

  it('escapes words for XML', () => {
    expect(escapeXml('a<b>&"\u0001\ud800c')).toBe('a&lt;b&gt;&amp;&quot;  c');
  });
});

describe('contactSheet', () => {
  it('puts pictures of any shape into equal cells in reading order', async () => {
    const red: RgbImage = {
      width: 10,
      height: 30,
      data: new Uint8Array(900).map((_, i) => (i % 3 === 0 ? 250 : 0)),
    };
    const sheet = await contactSheet([grey, await encodePng(red), grey], 2, { cell: 60, gap: 4 });
    const { at, width, height } = await pixels(sheet);
    expect([width, height]).toEqual([132, 132]);
    expect(isGround(at(34, 34))).toBe(true);
    expect(at(98, 34)[0]).toBeGreaterThan(240);
    expect(isGround(at(34, 98))).toBe(true);
    expect(at(98, 98)).toEqual([255, 255, 255]);
    await expect(contactSheet([], 2)).rejects.toThrow(RangeError);
    await expect(contactSheet([grey], 0)).rejects.toThrow(RangeError);
  });
});

describe('encodePng', () => {
  it('keeps every pixel', async () => {
    const image: RgbImage = {
      width: 7,
      height: 5,
      data: Uint8Array.from({ length: 105 }, (_, i) => (i * 37) % 256),
    };
    const { at } = await pixels(await encodePng(image));
    expect(at(3, 2)).toEqual([...image.data.subarray(51, 54)]);
  });
});
