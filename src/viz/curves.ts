// SPDX-License-Identifier: Apache-2.0
import sharp from 'sharp';
import { writeFileAtomicSync } from '../files.js';
import { escapeXml } from './svg.js';

/** A line of a chart. */
export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** Drawn pale, behind the others: single values beside their average. */
  faint?: boolean;
}

/** A chart: lines over a common x axis. */
export interface Chart {
  title: string;
  xLabel: string;
  series: readonly Series[];
  /** Logarithmic y axis; used only where every value is above 0. */
  log?: boolean;
  /** Values that the axes must reach. */
  include?: { x?: readonly number[]; y?: readonly number[] };
}

const WIDTH = 640;
const HEIGHT = 300;
const MARGIN = { left: 62, right: 18, top: 40, bottom: 44 };
/** Colours that stay apart for the colour-blind (Okabe and Ito 2008). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000', '#8a7f00'];

/** Charts below one another as one SVG document. */
export function chartsSvg(charts: readonly Chart[]): string {
  const height = HEIGHT * charts.length;
  const body = charts.map((chart, i) => `<g transform="translate(0 ${i * HEIGHT})">${chartBody(chart)}</g>`);
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
    `font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>${body.join('')}</svg>\n`
  );
}

/** Writes `BASE.svg` and `BASE.png` (twice as large). Returns both paths. */
export async function writeCharts(base: string, charts: readonly Chart[]): Promise<string[]> {
  const svg = chartsSvg(charts);
  const png = await sharp(Buffer.from(svg), { density: 144 }).png().toBuffer();
  writeFileAtomicSync(`${base}.svg`, svg);
  writeFileAtomicSync(`${base}.png`, png);
  return [`${base}.svg`, `${base}.png`];
}

/** Each value averaged with its neighbours, about `window` in all, to see the trend in noise. */
export function smooth(points: readonly (readonly [number, number])[], window: number): [number, number][] {
  const reach = Math.floor((window - 1) / 2);
  return points.map(([x], i) => {
    // As many before as behind, so that the ends are not pulled to one side.
    const near = Math.max(0, Math.min(reach, i, points.length - 1 - i));
    const part = points.slice(i - near, i + near + 1);
    return [x, part.reduce((sum, [, y]) => sum + y, 0) / part.length];
  });
}

interface Axis {
  /** Position in pixels. */
  at(value: number): number;
  ticks: number[];
}

function chartBody(chart: Chart): string {
  const drawn = chart.series.map((series) => ({
    ...series,
    points: series.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)),
  }));
  const points = drawn.flatMap((series) => series.points);
  const title = `<text x="${MARGIN.left}" y="18" font-size="14" font-weight="bold">${escapeXml(chart.title)}</text>`;
  if (points.length === 0) {
    return `${title}<text x="${MARGIN.left}" y="${HEIGHT / 2}" fill="#666">nothing yet</text>`;
  }
  const x = linearAxis(
    [...points.map(([value]) => value), ...(chart.include?.x ?? [])],
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const heights = [...points.map(([, value]) => value), ...(chart.include?.y ?? [])];
  const log = Boolean(chart.log) && heights.every((value) => value > 0);
  const y = (log ? logAxis : linearAxis)(heights, HEIGHT - MARGIN.bottom, MARGIN.top);
  const colours = coloursOf(drawn);
  const lines = drawn.map((series, i) => line(series, colours[i]!, x, y));
  return title + grid(x, y, chart.xLabel) + lines.join('') + legend(drawn, colours);
}

function grid(x: Axis, y: Axis, xLabel: string): string {
  const bottom = HEIGHT - MARGIN.bottom;
  const right = WIDTH - MARGIN.right;
  const horizontal = y.ticks.map((value) => {
    const at = fixed(y.at(value));
    return (
      `<path d="M${MARGIN.left} ${at}H${right}" stroke="#e3e3e3"/>` +
      `<text x="${MARGIN.left - 6}" y="${fixed(y.at(value) + 4)}" text-anchor="end" fill="#444">${tickText(value)}</text>`
    );
  });
  const vertical = x.ticks.map((value) => {
    const at = fixed(x.at(value));
    return (
      `<path d="M${at} ${bottom}v4" stroke="#888"/>` +
      `<text x="${at}" y="${bottom + 16}" text-anchor="middle" fill="#444">${tickText(value)}</text>`
    );
  });
  const label = `<text x="${(MARGIN.left + right) / 2}" y="${HEIGHT - 10}" text-anchor="middle" fill="#444">${escapeXml(xLabel)}</text>`;
  return `${horizontal.join('')}<path d="M${MARGIN.left} ${bottom}H${right}" stroke="#888"/>${vertical.join('')}${label}`;
}

function line({ points, faint }: Series, colour: string, x: Axis, y: Axis): string {
  const style = faint ? 'stroke-opacity="0.25" stroke-width="1"' : 'stroke-width="1.8"';
  const path = points
    .map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${fixed(x.at(px))} ${fixed(y.at(py))}`)
    .join('');
  const [first] = points;
  // A single point makes no line.
  const dot =
    points.length === 1
      ? `<circle cx="${fixed(x.at(first![0]))}" cy="${fixed(y.at(first![1]))}" r="3" fill="${colour}"/>`
      : '';
  return `<path d="${path}" fill="none" stroke="${colour}" ${style} stroke-linejoin="round"/>${dot}`;
}

/** Names of the series in one row; what has no room is counted. */
function legend(series: readonly Series[], colours: readonly string[]): string {
  let at = MARGIN.left;
  let entries = '';
  const named = series.flatMap(({ name, faint }, i) => (faint ? [] : [{ name, colour: colours[i]! }]));
  for (const [i, { name, colour }] of named.entries()) {
    const width = 34 + 6.2 * name.length;
    if (at + width > WIDTH - 60) {
      return `${entries}<text x="${at}" y="34" fill="#666">and ${named.length - i} more</text>`;
    }
    entries +=
      `<path d="M${fixed(at)} 30h14" stroke="${colour}" stroke-width="2.5"/>` +
      `<text x="${fixed(at + 18)}" y="34" fill="#222">${escapeXml(name)}</text>`;
    at += width;
  }
  return entries;
}

/** A colour for each series; a faint one has that of the series before it. */
function coloursOf(series: readonly Series[]): string[] {
  let next = 0;
  return series.map(({ faint }) => {
    const own = faint && next > 0 ? next - 1 : next++;
    return COLOURS[own % COLOURS.length]!;
  });
}

function linearAxis(values: readonly number[], from: number, to: number): Axis {
  let low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  let high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const step = niceStep((high - low) / 5);
  const first = Math.floor(low / step + 1e-9) * step;
  const count = Math.ceil((high - first) / step - 1e-9);
  const last = first + count * step;
  return {
    at: (value) => from + ((value - first) / (last - first)) * (to - from),
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((first + i * step).toPrecision(12))),
  };
}

function logAxis(values: readonly number[], from: number, to: number): Axis {
  const logs = values.map((value) => Math.log10(value));
  const low = logs.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY) - 0.03;
  const high = logs.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY) + 0.03;
  const decades = Array.from({ length: 40 }, (_, i) => i - 20).flatMap((power) =>
    // Read, not computed: 10 ** -5 is not the number that 1e-5 is.
    [1, 2, 5].map((digit) => Number(`${digit}e${power}`)),
  );
  const inside = decades.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
  const ticks = inside.length > 8 ? inside.filter((value) => Number.isInteger(Math.log10(value))) : inside;
  return { at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from), ticks };
}

/** 1, 2 or 5 times a power of ten, at least `raw`. */
function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * (raw / power <= 1 ? 1 : raw / power <= 2 ? 2 : raw / power <= 5 ? 5 : 10);
}

function tickText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential().replace('e+', 'e');
  return String(Number(value.toPrecision(6)));
}

function fixed(value: number): string {
  return value.toFixed(1);
}
