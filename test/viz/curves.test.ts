// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { chartsSvg, smooth, writeCharts } from '../../src/viz/curves.js';

const chart = {
  title: 'Loss & <more>',
  xLabel: 'step',
  log: true,
  series: [
    {
      name: 'average',
      points: [
        [0, 100],
        [50, 10],
        [100, 1],
      ] as [number, number][],
    },
    {
      name: 'single',
      points: [
        [0, Number.NaN],
        [100, 2],
      ] as [number, number][],
    },
  ],
};

describe('charts', () => {
  it('place equal ratios at equal distances on a logarithmic axis', () => {
    const svg = chartsSvg([chart]);
    const [, y0, y1, y2] = /M62\.0 ([\d.]+)L[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)"/.exec(svg)!.map(Number);
    expect(y1! - y0!).toBeCloseTo(y2! - y1!, 0);
    expect(y2!).toBeGreaterThan(y0!);
  });

  it('escape words, leave out what is not finite, and label round numbers', () => {
    const svg = chartsSvg([chart, { ...chart, log: false, series: [] }]);
    expect(svg).toContain('Loss &amp; &lt;more&gt;');
    expect(svg).not.toContain('NaN');
    expect(svg).toContain('nothing yet');
    for (const label of ['>100<', '>10<', '>1<', '>20<', '>80<']) expect(svg).toContain(label);
  });

  it('write an SVG and a PNG of twice its size with something drawn', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tfgeo-curves-'));
    const [svg, png] = await writeCharts(join(folder, 'curves'), [chart]);
    expect(readFileSync(svg!, 'utf8')).toMatch(/^<svg /);
    const { width, height } = await sharp(png!).metadata();
    expect([width, height]).toEqual([1280, 600]);
    const { channels } = await sharp(png!).stats();
    expect(channels[0]!.min).toBeLessThan(50);
    rmSync(folder, { recursive: true });
  });

  it('smooth noise without lagging', () => {
    const ramp = Array.from({ length: 9 }, (_, i) => [i, 2 * i] as const);
    expect(smooth(ramp, 5)).toEqual(ramp.map(([x, y]) => [x, y]));
    expect(
      smooth(
        [
          [0, 0],
          [1, 30],
          [2, 0],
        ],
        3,
      ).map(([, y]) => y),
    ).toEqual([0, 10, 0]);
    expect(smooth([[0, 7]], 0.3)).toEqual([[0, 7]]);
  });

  it('count the names that have no room', () => {
    const series = Array.from({ length: 30 }, (_, i) => ({
      name: `loss_part_${i}`,
      points: [[0, i]] as [number, number][],
    }));
    expect(chartsSvg([{ ...chart, series }])).toMatch(/>and 2\d more</);
  });
});
