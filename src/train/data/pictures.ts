// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { openRaster } from '../../geo/index.js';
import type { Random } from '../../random.js';
import { captionFromLabels } from './label_captions.js';
import { randomTurn, turnBox, turnImage } from './turn.js';
import type { Dataset, GroundedObject, Sample, Span } from './types.js';
import { assertNoErrors, type DataProblems } from './validate.js';

/** An object of an annotated picture; its spans name it in the picture's own caption, where the file has one. */
export type LabelledObject = Omit<GroundedObject, 'spans'> & Partial<Pick<GroundedObject, 'spans'>>;

/** A picture on disk with what an annotation file says of it. */
export interface LabelledPicture {
  id: string;
  path: string;
  width: number;
  height: number;
  /** A sentence about it, where the file has one; else it is made of the categories. */
  caption?: string;
  form?: string;
  metresPerPixel?: number;
  objects: LabelledObject[];
}

export interface PictureDatasetOptions {
  /** Refuse the data set when any record is bad, instead of leaving that record out. Default false. */
  strict?: boolean;
  /** Turn and mirror pictures in training whose caption was made from labels. Default true. */
  augment?: boolean;
}

/** Annotated pictures of any format: a format's reader makes `LabelledPicture`s, the rest is here. */
export class PictureDataset implements Dataset {
  /** Every category of the set, in order of first use. */
  readonly categories: readonly string[];

  constructor(
    readonly name: string,
    readonly pictures: readonly LabelledPicture[],
    /** What was wrong with the files; for reports. */
    readonly problems: DataProblems,
    private readonly options: PictureDatasetOptions = {},
  ) {
    if (options.strict === true) assertNoErrors(name, problems);
    this.categories = [...new Set(pictures.flatMap((p) => p.objects.map((object) => object.category)))];
  }

  get length(): number {
    return this.pictures.length;
  }

  async get(index: number, random?: Random): Promise<Sample> {
    const picture = this.pictures[index];
    if (picture === undefined) {
      throw new RangeError(`[${this.name}] expected an index below ${this.length} but received ${index}`);
    }
    const raster = await openRaster(picture.path);
    try {
      checkSize(raster, picture, this.name);
      const image = await raster.read();
      const metresPerPixel = picture.metresPerPixel ?? raster.metresPerPixel;
      const sample = { id: picture.id, image, ...this.describe(picture, random) };
      const known = metresPerPixel === null ? sample : { ...sample, metresPerPixel };
      const free = picture.caption === undefined && random !== undefined && this.options.augment !== false;
      return free ? turned(known, random) : known;
    } finally {
      await raster.close();
    }
  }

  /** Caption and objects: the file's own sentence, else one that names the categories. */
  private describe(
    picture: LabelledPicture,
    random: Random | undefined,
  ): Pick<Sample, 'caption' | 'form' | 'objects'> {
    if (picture.caption !== undefined) {
      return {
        caption: picture.caption,
        form: picture.form ?? 'sentence',
        objects: picture.objects.map((object) => grounded(object, object.spans ?? [])),
      };
    }
    const { text, spans } = captionFromLabels(this.categories, random);
    return {
      caption: text,
      form: 'classes',
      objects: picture.objects.map((object) => grounded(object, spans.get(object.category) ?? [])),
    };
  }
}

function checkSize(
  actual: { width: number; height: number },
  picture: LabelledPicture,
  dataset: string,
): void {
  if (actual.width === picture.width && actual.height === picture.height) return;
  throw new UserError(
    `${picture.path}: has ${actual.width}x${actual.height} pixels but ${dataset} says ` +
      `${picture.width}x${picture.height}, so its boxes do not fit; correct the annotation or give the right picture`,
    EXIT_CODES.data,
  );
}

function grounded({ box, category, crowd }: LabelledObject, spans: Span[]): GroundedObject {
  return { box: [...box], category, spans, ...(crowd === true ? { crowd } : {}) };
}

function turned(sample: Sample, random: Random): Sample {
  const turn = randomTurn(random);
  return {
    ...sample,
    image: turnImage(sample.image, turn),
    objects: sample.objects.map((object) => ({ ...object, box: turnBox(object.box, sample.image, turn) })),
  };
}
