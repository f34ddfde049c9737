// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { EXIT_CODES, UserError } from '../errors.js';
import { phraseOf } from '../models/postprocess.js';
import { encodePrompt, Tokenizer } from '../models/text/index.js';

/** Name of the input of metres per pixel. */
const METRES = 'metres_per_pixel';

/** What `tfgeo.json` among a model's assets says, as far as a client needs it. */
interface ModelDescription {
  width: number;
  height: number;
  input: 'pixels' | 'encoded';
  tokens: number | null;
  /** What a query must end with. */
  closing?: string;
  /** What inputs are of which nothing is known, by name. */
  missing?: Record<string, number>;
  threshold: number;
  labels: string[];
  signatures: { detect: { inputs: Record<string, unknown> } };
}

export interface PredictOptions {
  /** Folder `assets` of the exported model: its description and tokenizer. */
  assets: string;
  /** Least score; default: the model's own. */
  threshold?: number;
  /** Metres per pixel of the picture, for models that count metres; default: what the model takes pictures for. */
  metresPerPixel?: number;
}

/** One found object. */
export interface ServedDetection {
  /** `[x0, y0, x1, y1]` in pixels of the picture. */
  box: [number, number, number, number];
  score: number;
  /** The words of the query that it answers to; or its phrase or class, where those are part of the model. */
  phrase: string;
}

/** A row of the signature `detect`. */
interface Prediction {
  boxes: [number, number, number, number][];
  scores: number[];
  count: number;
  token_scores?: number[][];
  phrase?: number[];
  labels?: number[];
}

/**
 * Asks an exported model behind TensorFlow Serving's REST interface what is in a picture.
 *
 * @param url of the model: `http://HOST:8501/v1/models/NAME`
 * @param image path of a picture, or its file's bytes
 * @param query what to look for; only for models whose query is an input
 * @throws UserError for a picture or query that is wrong, and with what the server answers if it refuses
 */
export async function predict(
  url: string,
  image: string | Uint8Array,
  query: string | null,
  options: PredictOptions,
): Promise<ServedDetection[]> {
  const description = await readDescription(options.assets);
  const { instance, scale } = await pictureInput(image, description);
  const text = await textInput(query, description, options.assets);
  const row = { ...instance, ...text?.inputs, ...metresInput(options.metresPerPixel, scale, description) };
  const body = JSON.stringify({ signature_name: 'detect', instances: [row] });
  const prediction = await post(`${url}:predict`, body);
  const threshold = options.threshold ?? description.threshold;
  return prediction.scores.flatMap((score, i) => {
    if (!(score >= threshold)) return [];
    const box = prediction.boxes[i]!.map((side, axis) => side * scale[axis % 2]!) as ServedDetection['box'];
    return [{ box, score, phrase: phraseFor(prediction, i, description, text, query) }];
  });
}

async function readDescription(assets: string): Promise<ModelDescription> {
  const path = join(assets, 'tfgeo.json');
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ModelDescription;
  } catch (error) {
    throw new UserError(
      `${path} cannot be read (${(error as Error).message}); give the folder "assets" of the exported model`,
      EXIT_CODES.data,
    );
  }
}

/** The picture as the model takes it, and what makes its pixels those of the file. */
async function pictureInput(
  image: string | Uint8Array,
  { width, height, input }: ModelDescription,
): Promise<{ instance: Record<string, unknown>; scale: [number, number] }> {
  try {
    const bytes = typeof image === 'string' ? await readFile(image) : image;
    const upright = sharp(bytes).autoOrient();
    const { format, orientation = 1, autoOrient: file } = await sharp(bytes).metadata();
    if (input === 'encoded') {
      // The graph reads these two, as they lie in the file.
      const readable = (format === 'jpeg' || format === 'png') && orientation === 1;
      const sent = readable ? Buffer.from(bytes) : await upright.png().toBuffer();
      return { instance: { image_bytes: { b64: sent.toString('base64') } }, scale: [1, 1] };
    }
    const data = await upright
      .resize(width, height, { fit: 'fill' })
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer();
    const row = (y: number) =>
      Array.from({ length: width }, (_, x) => [...data.subarray((y * width + x) * 3).subarray(0, 3)]);
    const pixels = Array.from({ length: height }, (_, y) => row(y));
    return { instance: { pixels }, scale: [file.width / width, file.height / height] };
  } catch (error) {
    throw new UserError(`the picture cannot be read (${(error as Error).message})`, EXIT_CODES.data);
  }
}

/**
 * Ground size of the pixels that are sent, for a model that counts metres.
 * @param scale what makes pixels that are sent those of the file
 */
function metresInput(
  metres: number | undefined,
  scale: readonly [number, number],
  { signatures, missing }: ModelDescription,
): Record<string, number> {
  if (metres !== undefined && !(metres > 0 && Number.isFinite(metres)))
    throw new UserError(
      `[predict] expected metres per pixel above 0 but received ${metres}`,
      EXIT_CODES.data,
    );
  if (!Object.hasOwn(signatures.detect.inputs, METRES)) return {};
  // The mean of both directions, where a picture is stretched.
  const value = metres === undefined ? missing?.[METRES] : metres * Math.sqrt(scale[0] * scale[1]);
  if (value !== undefined) return { [METRES]: value };
  throw new UserError(
    'the model needs to know how large a pixel is on the ground: give metresPerPixel',
    EXIT_CODES.data,
  );
}

/** A query as the model takes it: two inputs of a signature, padded. */
export interface QueryInputs {
  input_ids: number[];
  attention_mask: number[];
}

/**
 * A query for a model whose query is an input, to be sent with a picture.
 * @param assets folder `assets` of the exported model
 * @throws UserError for an empty query, one that is too long, and a model that takes none
 */
export async function encodeQuery(query: string, assets: string): Promise<QueryInputs> {
  return (await textInput(query, await readDescription(assets), assets))!.inputs;
}

interface TextInput {
  inputs: QueryInputs;
  encoding: ReturnType<typeof encodePrompt>;
}

async function textInput(
  query: string | null,
  { tokens, closing }: ModelDescription,
  assets: string,
): Promise<TextInput | null> {
  if (tokens === null) {
    if (query === null) return null;
    throw new UserError('this model takes no query: what it looks for is part of it', EXIT_CODES.data);
  }
  const tokenizer = await Tokenizer.fromFile(join(assets, 'tokenizer.json'));
  const encoding = encodePrompt(query ?? '', tokenizer, {
    maxTokens: tokens,
    ...(closing === undefined ? {} : { closing }),
  });
  const padding = tokens - encoding.ids.length;
  return {
    inputs: {
      input_ids: [...encoding.ids, ...Array<number>(padding).fill(tokenizer.padding.id)],
      attention_mask: [...encoding.ids.map(() => 1), ...Array<number>(padding).fill(0)],
    },
    encoding,
  };
}

function phraseFor(
  { token_scores, phrase, labels }: Prediction,
  row: number,
  description: ModelDescription,
  text: TextInput | null,
  query: string | null,
): string {
  if (text !== null && query !== null && token_scores) {
    return phraseOf(query, Float32Array.from(token_scores[row]!), text.encoding).phrase;
  }
  return description.labels[(labels ?? phrase)?.[row] ?? -1] ?? '';
}

async function post(url: string, body: string): Promise<Prediction> {
  const answer = await fetch(url, { method: 'POST', body }).catch((error: Error) => {
    throw new UserError(
      `${url} does not answer (${(error.cause as Error | undefined)?.message ?? error.message})`,
      EXIT_CODES.data,
    );
  });
  const text = await answer.text();
  if (!answer.ok) throw new UserError(`${url} answers ${answer.status}: ${errorText(text)}`, EXIT_CODES.data);
  return (JSON.parse(text) as { predictions: [Prediction] }).predictions[0];
}

function errorText(text: string): string {
  try {
    return String((JSON.parse(text) as { error: unknown }).error);
  } catch {
    return text.slice(0, 200);
  }
}
