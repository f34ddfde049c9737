// SPDX-License-Identifier: Apache-2.0
import sharp, { type Sharp } from 'sharp';
import { writeFileAtomic } from '../files.js';
import type { BoxXyxy, RgbImage } from '../models/types.js';
import { escapeXml } from './svg.js';

/** What an overlay needs of a detection. */
export interface DrawnBox {
  /** Pixels of the picture. */
  box: BoxXyxy;
  phrase: string;
  score?: number;
}

export interface OverlayOptions {
  /** A line above the picture, e.g. the prompt. */
  title?: string;
  /** Enlargement; default: as much as makes small pictures readable (long side at least 640 pixels). */
  scale?: number;
  /** Title, legend, and phrase or score beside each box. Default true. */
  labels?: boolean;
}

const MIN_SIDE = 640;
/** Up to so many boxes carry their phrase, up to so many their score. */
const MAX_WORDED = 10;
const MAX_SCORED = 120;
const FONT_SIZE = 13;
const LINE_HEIGHT = 18;
/** Mean width of a character of the fonts below, relative to their size. */
const CHARACTER_WIDTH = 0.62;
const FONT = 'DejaVu Sans, Liberation Sans, Arial, sans-serif';
/** Colours that differ on green, grey and blue ground (Okabe and Ito 2008, brightened), one per phrase. */
const COLOURS = ['#ffe14d', '#56d4ff', '#ff8a3d', '#ff6ec7', '#7dff6b', '#c79bff', '#ff5252', '#4dffd8'];

/**
 * Draws boxes onto a picture, one colour per phrase, with phrase and score. Where no font is installed boxes and colours
 * are drawn without words.
 *
 * @returns a PNG file's bytes
 */
export async function drawOverlay(
  image: RgbImage,
  boxes: readonly DrawnBox[],
  options: OverlayOptions = {},
): Promise<Buffer> {
  const longSide = Math.max(image.width, image.height);
  const scale = options.scale ?? Math.max(1, Math.ceil(MIN_SIDE / longSide));
  const width = Math.round(image.width * scale);
  const height = Math.round(image.height * scale);
  const unit = Math.max(1, Math.max(width, height) / 1000);
  const phrases = [...new Set(boxes.map((box) => box.phrase))];
  const colourOf: ColourOf = (phrase) => COLOURS[phrases.indexOf(phrase) % COLOURS.length]!;
  const words = (options.labels ?? true) && (await fontsAvailable());
  const lines = words ? headerLines(options.title, boxes, colourOf, width, unit) : [];
  const header = lines.length > 0 ? Math.ceil((lines.length * (LINE_HEIGHT + 2) + 6) * unit) : 0;
  const canvas = { width, height, scale, header, unit };
  const picture = await open(image)
    .resize(width, height, { kernel: 'cubic', fit: 'fill' })
    .extend({ top: header, background: '#202020' })
    .png()
    .toBuffer();
  const drawing = svg(width, height + header, [
    ...frames(boxes, colourOf, canvas),
    ...(words ? labels(boxes, colourOf, canvas) : []),
    ...lines.flat(),
  ]);
  return sharp(picture)
    .composite([{ input: drawing, left: 0, top: 0 }])
    .png()
    .toBuffer();
}

/** Draws an overlay into a PNG file, all or nothing. */
export async function writeOverlay(
  path: string,
  image: RgbImage,
  boxes: readonly DrawnBox[],
  options: OverlayOptions = {},
): Promise<void> {
  await writeFileAtomic(path, await drawOverlay(image, boxes, options));
}

/**
 * Pictures side by side in equal cells, each as large as it fits, in reading order.
 *
 * @param images PNG or JPEG bytes, or raw RGB
 * @param columns pictures in a row
 * @returns a PNG file's bytes
 */
export async function contactSheet(
  images: readonly (RgbImage | Uint8Array)[],
  columns: number,
  options: { cell?: number; gap?: number } = {},
): Promise<Buffer> {
  if (images.length === 0 || !(Number.isInteger(columns) && columns > 0)) {
    throw new RangeError(
      `[contactSheet] expected pictures and columns above 0 but received ${images.length} and ${columns}`,
    );
  }
  const cell = options.cell ?? 320;
  const gap = options.gap ?? 6;
  const tiles = await Promise.all(
    images.map(async (image, i) => ({
      input: await open(image)
        .resize(cell, cell, { fit: 'contain', background: '#202020', kernel: 'cubic' })
        .png()
        .toBuffer(),
      left: gap + (i % columns) * (cell + gap),
      top: gap + Math.floor(i / columns) * (cell + gap),
    })),
  );
  const used = Math.min(columns, images.length);
  return sharp({
    create: {
      width: gap + used * (cell + gap),
      height: gap + Math.ceil(images.length / columns) * (cell + gap),
      channels: 3,
      background: '#ffffff',
    },
  })
    .composite(tiles)
    .png()
    .toBuffer();
}

/** A picture as the bytes of a PNG file. */
export async function encodePng(image: RgbImage): Promise<Buffer> {
  return open(image).png().toBuffer();
}

function open(image: RgbImage | Uint8Array): Sharp {
  if (image instanceof Uint8Array) return sharp(image);
  return sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } });
}

interface Canvas {
  /** Size of the enlarged picture, without the header. */
  width: number;
  height: number;
  scale: number;
  header: number;
  /** Size of letters and lines, relative to that on a picture of 1000 pixels. */
  unit: number;
}

interface Placed {
  x: number;
  y: number;
  width: number;
}

type ColourOf = (phrase: string) => string;

function frames(boxes: readonly DrawnBox[], colourOf: ColourOf, canvas: Canvas): string[] {
  // Faint boxes first, so that sure ones lie on top.
  return [...boxes]
    .sort((a, b) => (a.score ?? 1) - (b.score ?? 1))
    .map((drawn) => frame(drawn, colourOf(drawn.phrase), canvas));
}

/** A dark line under a bright one: seen on any ground. */
function frame({ box }: DrawnBox, colour: string, { scale, header, unit }: Canvas): string {
  const [x0, y0, x1, y1] = box.map((v) => v * scale) as [number, number, number, number];
  const place = `x="${x0.toFixed(1)}" y="${(y0 + header).toFixed(1)}"`;
  const shape = `${place} width="${(x1 - x0).toFixed(1)}" height="${(y1 - y0).toFixed(1)}" fill="none"`;
  const dark = `stroke="#000000" stroke-opacity="0.6" stroke-width="${4 * unit}"`;
  return `<rect ${shape} ${dark}/><rect ${shape} stroke="${colour}" stroke-width="${2 * unit}"/>`;
}

/** Words beside few boxes, scores beside more, nothing beside very many: the picture must stay visible. */
function labels(boxes: readonly DrawnBox[], colourOf: ColourOf, canvas: Canvas): string[] {
  if (boxes.length > MAX_SCORED) return [];
  const withWords = boxes.length <= MAX_WORDED;
  const placed: Placed[] = [];
  return [...boxes]
    .sort((a, b) => (b.score ?? 1) - (a.score ?? 1))
    .map((drawn) => {
      const percent = drawn.score === undefined ? '' : `${(drawn.score * 100).toFixed(0)}%`;
      const words = withWords ? `${shorten(drawn.phrase, 40)} ${percent}`.trim() : percent;
      return words === '' ? '' : label(drawn, words, colourOf(drawn.phrase), canvas, placed);
    });
}

/** Above its box, below it where there is no room, and moved down until it covers no other label. */
function label({ box }: DrawnBox, words: string, colour: string, canvas: Canvas, placed: Placed[]): string {
  const line = LINE_HEIGHT * canvas.unit;
  const width = plateWidth(words, canvas.unit);
  const [x0, y0, , y1] = box.map((v) => v * canvas.scale) as [number, number, number, number];
  const bottom = canvas.height + canvas.header - line;
  const x = Math.max(0, Math.min(x0, canvas.width - width));
  const above = y0 + canvas.header - line;
  let y = above >= canvas.header ? above : Math.min(y1 + canvas.header, bottom);
  const covers = (other: Placed): boolean =>
    x < other.x + other.width && other.x < x + width && Math.abs(other.y - y) < line;
  for (let tries = 0; tries < 12 && y < bottom && placed.some(covers); tries++)
    y = Math.min(bottom, y + line);
  placed.push({ x, y, width });
  return plate(x, y, words, colour, canvas.unit);
}

/** The title and, for a picture with any boxes, each phrase in its colour with its count: lines of SVG parts. */
function headerLines(
  title: string | undefined,
  boxes: readonly DrawnBox[],
  colourOf: ColourOf,
  width: number,
  unit: number,
): string[][] {
  const line = LINE_HEIGHT * unit;
  const lines: string[][] = [];
  const top = (): number => 4 * unit + lines.length * (line + 2 * unit);
  if (title !== undefined) {
    for (const words of wrap(title, width / unit - 12)) {
      lines.push([text(6 * unit, top() + line - 5 * unit, words, '#ffffff', unit)]);
    }
  }
  let x = width;
  for (const phrase of [...new Set(boxes.map((box) => box.phrase))].slice(0, 24)) {
    const words = `${shorten(phrase, 40)} (${boxes.filter((box) => box.phrase === phrase).length})`;
    const plateSize = plateWidth(words, unit);
    if (x + plateSize > width) {
      lines.push([]);
      x = 4 * unit;
    }
    lines.at(-1)!.push(plate(x, top() - line - 2 * unit, words, colourOf(phrase), unit));
    x += plateSize + 6 * unit;
  }
  return lines;
}

function plateWidth(words: string, unit: number): number {
  return ([...words].length * FONT_SIZE * CHARACTER_WIDTH + 8) * unit;
}

function plate(x: number, y: number, words: string, colour: string, unit: number): string {
  const size = `width="${plateWidth(words, unit).toFixed(1)}" height="${LINE_HEIGHT * unit}"`;
  const rect = `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${size} fill="${colour}" fill-opacity="0.92"/>`;
  return rect + text(x + 4 * unit, y + (LINE_HEIGHT - 5) * unit, words, '#101010', unit);
}

function text(x: number, y: number, words: string, colour: string, unit: number): string {
  const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}"`;
  const font = `font-family="${FONT}" font-size="${(FONT_SIZE * unit).toFixed(1)}"`;
  return `<text ${place} ${font} fill="${colour}">${escapeXml(words)}</text>`;
}

function svg(width: number, height: number, parts: readonly string[]): Buffer {
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join('')}</svg>`,
  );
}

function shorten(words: string, length: number): string {
  const points = [...words];
  return points.length <= length ? words : `${points.slice(0, length - 1).join('')}…`;
}

/** Lines of at most `width` pixels, at most three. */
function wrap(words: string, width: number): string[] {
  const perLine = Math.max(8, Math.floor(width / (FONT_SIZE * CHARACTER_WIDTH)));
  const lines: string[] = [];
  let line = '';
  for (const word of words.split(/\s+/)) {
    if (line !== '' && line.length + word.length + 1 > perLine) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines.length <= 3 ? lines : [...lines.slice(0, 2), shorten(lines.slice(2).join(' '), perLine)];
}

let fonts: Promise<boolean> | null = null;

/** True when the machine can draw letters: without fonts nothing, or only empty frames, would be drawn for them. */
function fontsAvailable(): Promise<boolean> {
  fonts ??= probeFonts();
  return fonts;
}

/** Two different letters must give different pictures. */
async function probeFonts(): Promise<boolean> {
  const render = (letter: string): Promise<Buffer> =>
    sharp(svg(24, 24, [text(4, 18, letter, '#000000', 1)]))
      .raw()
      .toBuffer();
  try {
    const [one, other] = await Promise.all([render('i'), render('W')]);
    return !one.equals(other);
  } catch {
    return false;
  }
}
