// SPDX-License-Identifier: Apache-2.0
import type { Dataset, Sample } from './types.js';
import type { DataProblems } from './validate.js';

/** Smallest, middle and largest of some numbers. */
export interface Extent {
  min: number;
  median: number;
  max: number;
}

/** What is in a data set. */
export interface DatasetReport {
  name: string;
  images: number;
  /** Pictures that were opened for this report. */
  inspected: number;
  boxes: number;
  /** Boxes of crowds, counted in `boxes` too. */
  crowds: number;
  /** Boxes that their picture's caption names. */
  referred: number;
  /** Number of boxes by category, most frequent first. */
  categories: Record<string, number>;
  /** Number of samples by form of sentence. */
  forms: Record<string, number>;
  /** Square root of box area. */
  sizePixels: Extent | null;
  /** The same in metres, over pictures whose ground resolution is known. */
  sizeMetres: Extent | null;
  metresPerPixel: Extent | null;
  imageWidth: Extent | null;
  imageHeight: Extent | null;
  problems: DataProblems;
  /** A few captions with the words that name objects in square brackets. */
  examples: string[];
}

/**
 * Looks through a data set: how many pictures and boxes, of which classes and sizes in pixels and metres, and which records
 * are bad. Opens every picture, one after the other, so that broken files are found before training meets them.
 *
 * @param dataset its `problems`, where it has some, are passed on
 * @param options `limit`: open at most this many pictures, evenly spread
 */
export async function inspectDataset(
  dataset: Dataset & { problems?: DataProblems },
  options: { limit?: number; onProgress?: (done: number, total: number) => void } = {},
): Promise<DatasetReport> {
  const count = Math.min(dataset.length, options.limit ?? dataset.length);
  const problems: DataProblems = {
    errors: [...(dataset.problems?.errors ?? [])],
    warnings: [...(dataset.problems?.warnings ?? [])],
  };
  const tally = new Tally();
  for (let i = 0; i < count; i++) {
    const index = Math.floor((i * dataset.length) / count);
    try {
      tally.add(await dataset.get(index));
    } catch (error) {
      problems.errors.push(error instanceof Error ? error.message : String(error));
    }
    options.onProgress?.(i + 1, count);
  }
  return { name: dataset.name, images: dataset.length, inspected: count, ...tally.report(), problems };
}

class Tally {
  private readonly sizes: number[] = [];
  private readonly metres: number[] = [];
  private readonly resolutions: number[] = [];
  private readonly widths: number[] = [];
  private readonly heights: number[] = [];
  private readonly categories = new Map<string, number>();
  private readonly forms = new Map<string, number>();
  private readonly examples: string[] = [];
  private referred = 0;
  private crowds = 0;

  add(sample: Sample): void {
    this.widths.push(sample.image.width);
    this.heights.push(sample.image.height);
    this.forms.set(sample.form, (this.forms.get(sample.form) ?? 0) + 1);
    if (sample.metresPerPixel !== undefined) this.resolutions.push(sample.metresPerPixel);
    for (const object of sample.objects) {
      const [x0, y0, x1, y1] = object.box;
      const side = Math.sqrt((x1 - x0) * (y1 - y0));
      this.sizes.push(side);
      if (sample.metresPerPixel !== undefined) this.metres.push(side * sample.metresPerPixel);
      this.categories.set(object.category, (this.categories.get(object.category) ?? 0) + 1);
      if (object.spans.length > 0) this.referred++;
      if (object.crowd === true) this.crowds++;
    }
    const example = markSpans(sample);
    if (this.examples.length < 3 && !this.examples.includes(example)) this.examples.push(example);
  }

  report(): Omit<DatasetReport, 'name' | 'images' | 'inspected' | 'problems'> {
    const sorted = (counts: Map<string, number>): Record<string, number> =>
      Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
    return {
      boxes: this.sizes.length,
      crowds: this.crowds,
      referred: this.referred,
      categories: sorted(this.categories),
      forms: sorted(this.forms),
      sizePixels: extent(this.sizes),
      sizeMetres: extent(this.metres),
      metresPerPixel: extent(this.resolutions),
      imageWidth: extent(this.widths),
      imageHeight: extent(this.heights),
      examples: this.examples,
    };
  }
}

function extent(values: readonly number[]): Extent | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  return { min: sorted[0]!, median: sorted[sorted.length >> 1]!, max: sorted.at(-1)! };
}

/** The caption with the words that name objects in square brackets: a wrong span is seen at once. */
export function markSpans({ caption, objects }: Pick<Sample, 'caption' | 'objects'>): string {
  const points = [...caption];
  const named = points.map((_, i) =>
    objects.some(({ spans }) => spans.some(([begin, end]) => i >= begin && i < end)),
  );
  return points
    .map((point, i) => {
      const open = named[i] && !named[i - 1] ? '[' : '';
      const close = named[i] && !named[i + 1] ? ']' : '';
      return open + point + close;
    })
    .join('');
}

/** The report as lines for a terminal. */
export function formatReport(report: DatasetReport): string {
  const range = (extent: Extent | null, unit: string, digits: number): string =>
    extent === null
      ? 'unknown'
      : `${extent.min.toFixed(digits)} to ${extent.max.toFixed(digits)} ${unit}, median ${extent.median.toFixed(digits)}`;
  const counts = (record: Record<string, number>): string =>
    Object.entries(record)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const { errors, warnings } = report.problems;
  return [
    `${report.name}: ${report.images} samples${report.inspected < report.images ? ` (${report.inspected} opened)` : ''}, ${report.boxes} boxes`,
    `  pictures   ${range(report.imageWidth, 'px wide', 0)}; ${range(report.imageHeight, 'px high', 0)}`,
    `  resolution ${range(report.metresPerPixel, 'm per pixel', 3)}`,
    `  box sides  ${range(report.sizePixels, 'px', 1)}; ${range(report.sizeMetres, 'm', 2)}`,
    `  classes    ${counts(report.categories)}${report.crowds > 0 ? ` (${report.crowds} crowds)` : ''}`,
    `  sentences  ${counts(report.forms)}; ${report.referred} boxes named`,
    ...report.examples.map((example) => `             ${example}`),
    `  problems   ${errors.length} errors, ${warnings.length} warnings`,
    ...errors.map((line) => `  error: ${line}`),
    ...warnings.map((line) => `  warning: ${line}`),
  ].join('\n');
}
