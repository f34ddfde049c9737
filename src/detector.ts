// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { UserError } from './errors.js';
import {
  type Detection,
  type DetectionSet,
  detectTiled,
  openRaster,
  planTiles,
  type Raster,
  type RgbImage,
} from './geo/index.js';
import { BUNDLED_MODEL } from './models/bundled.js';
import { detectBatch } from './models/detect_batch.js';
import { classMask, detectClasses } from './models/detect_classes.js';
import {
  type Exportable,
  type ExportQuery,
  type ExportSource,
  toExportable,
} from './models/exportable/index.js';
import { type LoadedModel, loadModelFolder } from './models/model_folder.js';
import { encodePrompt } from './models/text/index.js';

/** A picture: a path or URL, the bytes of a file, or an RGB tensor `[H, W, 3]` with values 0 to 255. */
export type ImageInput = string | Uint8Array | tf.Tensor3D;

export interface DetectOptions {
  /** Least score of a detection, in [0, 1]. Default: the model's own. */
  threshold?: number;
  /** Side of the tiles that a large picture is cut into, in the model's pixels. Default: the size it was trained on. */
  tile?: number;
  /** Pixels that neighbouring tiles share. Default: a quarter of a tile. */
  overlap?: number;
  /** Resampling before the model looks: 0.5 halves the picture. Default 1. */
  scale?: number;
  /** Tiles looked at together. Default 4. */
  batch?: number;
  /** Reference system of a picture that has a position but names none, e.g. `EPSG:32617`. */
  crs?: string;
  /** Metres per pixel of the picture, for models that count metres. Default: what its georeference says. */
  metresPerPixel?: number;
  /** Bands shown as red, green and blue, counted from 0. */
  bands?: readonly number[];
  /** Called after every batch of tiles. */
  onProgress?: (done: number, total: number) => void;
}

/** What `detect` finds: parallel lists, best first, and the same as records with the picture's place on the map. */
export interface DetectResult {
  /** `[x0, y0, x1, y1]` in pixels of the picture. */
  boxes: [number, number, number, number][];
  scores: number[];
  /** The words of the prompt that each box answers to, exactly as typed. */
  phrases: string[];
  /** Where those words stand in the prompt: `[begin, end)` in code points. */
  spans: [number, number][][];
  /** The same with source, size and georeference, as the writers of `tfgeo-train detect` take it. */
  set: DetectionSet;
  /** Things worth telling the user: stretched samples, missing contrast. */
  notes: string[];
}

/** Pictures up to this many times the training size are looked at in one piece. */
const WHOLE_UP_TO = 1.5;

/** A sentence, or names of classes (none: all of them), for a model that knows a list. */
export type Question = string | readonly string[];

/** A loaded model that answers questions about pictures. Make one with `load`. */
export class Detector implements ExportSource {
  constructor(private readonly loaded: LoadedModel) {}

  /** Side of the pictures the model was trained on. */
  get imageSize(): number {
    return this.loaded.config.imageSize;
  }

  /** Least score reported unless `detect` is told otherwise. */
  get threshold(): number {
    return this.loaded.config.threshold;
  }

  /** The configuration the model was built from. */
  get config(): Readonly<LoadedModel['config']> {
    return this.loaded.config;
  }

  /** Names of the classes the model knows; null for one that answers sentences. */
  get labels(): readonly string[] | null {
    return this.loaded.answers === 'classes' ? this.loaded.config.labels : null;
  }

  /**
   * Finds what `prompt` names in a picture.
   * @throws UserError for a picture that cannot be read, an empty prompt, one longer than the text encoder takes, a class
   *   that the model does not know, and a sentence for a model that knows classes or the other way round
   */
  async detect(image: ImageInput, prompt: Question, options: DetectOptions = {}): Promise<DetectResult> {
    checkOptions(options);
    this.checkQuestion(prompt);
    const input = await toRaster(image, options);
    const raster = input.raster;
    const scale = options.scale ?? 1;
    const metres = options.metresPerPixel ?? raster.metresPerPixel;
    const seen = metres === null ? null : metres / scale;
    const detections: Detection[] = [];
    for await (const detection of detectTiled(
      raster,
      this.plan(raster, scale, options),
      (images) => this.detectImages(images, prompt, options.threshold ?? this.threshold, seen),
      {
        scale,
        batch: options.batch ?? 4,
        ...(options.onProgress ? { onProgress: options.onProgress } : {}),
      },
    )) {
      detections.push(detection);
    }
    detections.sort((a, b) => b.score - a.score);
    const title =
      typeof prompt === 'string' ? prompt : (prompt.length > 0 ? prompt : this.labels!).join(', ');
    return toResult(detections, raster, title, this.loaded.config.preset, input.notes);
  }

  private checkQuestion(prompt: Question): void {
    const { loaded } = this;
    if (loaded.answers === 'classes') {
      const { labels } = loaded.config;
      if (typeof prompt === 'string') {
        throw new UserError(
          `The model knows the classes ${labels.join(', ')} and no sentences: give their names.`,
        );
      }
      classMask(labels, prompt)?.dispose();
      return;
    }
    if (typeof prompt !== 'string')
      throw new UserError('The model answers sentences: give a prompt, not classes.');
    encodePrompt(prompt, loaded.tokenizer, loaded.model.prompt);
  }

  private plan(raster: Pick<Raster, 'width' | 'height'>, scale: number, options: DetectOptions) {
    const side = options.tile ?? this.imageSize;
    const longest = Math.max(raster.width, raster.height) * scale;
    const tile = options.tile === undefined && longest <= side * WHOLE_UP_TO ? longest : side;
    const inPicture = Math.max(1, Math.ceil(tile / scale));
    const overlap = options.overlap ?? Math.floor(inPicture / 4);
    return planTiles(raster.width, raster.height, { tile: inPicture, overlap });
  }

  /**
   * Pictures of any sizes with one question, each looked at in one piece.
   * @param metres per pixel, for models that count metres; null = the model's own
   */
  detectImages(
    images: readonly RgbImage[],
    prompt: Question,
    threshold: number,
    metres: number | null = null,
  ): Promise<Detection[][]> {
    this.checkQuestion(prompt);
    if (this.loaded.answers === 'classes') {
      const all = images.map(() => metres);
      return detectClasses(this.loaded, images, prompt as readonly string[], threshold, all);
    }
    return detectBatch(
      this.loaded,
      images,
      images.map(() => prompt as string),
      threshold,
    );
  }

  /** The detector as `exportModel` takes it. @throws UserError for a query that it cannot take */
  exportable(query: ExportQuery): Exportable {
    return toExportable(this.loaded, query);
  }

  /** Frees the model's memory. The detector is unusable afterwards. */
  dispose(): void {
    this.loaded.model.dispose();
  }
}

/**
 * Loads a model folder. Call `ready` first.
 * @param folder also a checkpoint, or one of `BUNDLED_MODELS`; default: the small model that comes with the package
 */
export async function load(folder: string = BUNDLED_MODEL): Promise<Detector> {
  return new Detector(await loadModelFolder(folder));
}

function checkOptions({ threshold, tile, overlap, scale, batch, metresPerPixel }: DetectOptions): void {
  const need = (good: boolean, what: string) => {
    if (!good) throw new UserError(`[detect] expected ${what}`);
  };
  need(
    threshold === undefined || (threshold >= 0 && threshold <= 1),
    `a threshold from 0 to 1 but received ${threshold}`,
  );
  need(
    tile === undefined || (Number.isInteger(tile) && tile >= 32),
    `a tile of at least 32 pixels but received ${tile}`,
  );
  need(
    overlap === undefined || (Number.isInteger(overlap) && overlap >= 0),
    `an overlap of 0 or more pixels but received ${overlap}`,
  );
  need(
    metresPerPixel === undefined || (metresPerPixel > 0 && Number.isFinite(metresPerPixel)),
    `metres per pixel above 0 but received ${metresPerPixel}`,
  );
  need(scale === undefined || (scale > 0 && scale <= 16), `a scale above 0, up to 16, but received ${scale}`);
  need(
    batch === undefined || (Number.isInteger(batch) && batch >= 1),
    `a batch of at least 1 but received ${batch}`,
  );
}

type Source = Pick<
  Raster,
  'name' | 'width' | 'height' | 'read' | 'georeference' | 'georeferenceMissing' | 'metresPerPixel'
>;

async function toRaster(
  image: ImageInput,
  options: DetectOptions,
): Promise<{ raster: Source; notes: string[] }> {
  const source = image instanceof tf.Tensor ? await tensorToImage(image) : image;
  const raster = await openRaster(source, {
    ...(image instanceof tf.Tensor ? { name: 'tensor' } : {}),
    ...(options.bands ? { bands: options.bands } : {}),
    ...(options.crs ? { crs: options.crs } : {}),
  });
  const stretch = raster.describeStretch();
  return { raster, notes: [...(stretch ? [stretch] : []), ...raster.warnings] };
}

async function tensorToImage(image: tf.Tensor3D): Promise<RgbImage> {
  const [height, width, channels] = image.shape;
  if (image.rank !== 3 || channels !== 3 || !height || !width) {
    throw new UserError(`[detect] expected an RGB tensor [H, W, 3] but received shape [${image.shape}]`);
  }
  const values = await image.data();
  const data = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= 0 && value <= 255)) {
      throw new UserError(`[detect] expected values from 0 to 255 in the image tensor but received ${value}`);
    }
    data[i] = Math.round(value);
  }
  return { width, height, data };
}

function toResult(
  detections: Detection[],
  raster: Source,
  prompt: string,
  model: string,
  notes: string[],
): DetectResult {
  return {
    boxes: detections.map(({ box }) => [...box]),
    scores: detections.map(({ score }) => score),
    phrases: detections.map(({ phrase }) => phrase),
    spans: detections.map(({ spans }) => spans.map(([begin, end]) => [begin, end])),
    set: {
      source: raster.name,
      width: raster.width,
      height: raster.height,
      prompt,
      detections,
      georeference: raster.georeference,
      georeferenceMissing: raster.georeferenceMissing,
      model,
    },
    notes,
  };
}
