// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { LoadedTextDetector } from '../model_folder.js';
import { encodePrompt, type PromptOptions, type Tokenizer } from '../text/index.js';
import { normalisePixels, selectByText } from './detections.js';
import type { Exportable, ExportQuery, ExtraInput } from './types.js';

/** What a detector that answers sentences is exported from. */
export type ExportableText = Pick<LoadedTextDetector, 'model' | 'config' | 'tokenizer' | 'tokenizerJson'>;

/** Tokens of a query that is an input, unless the caller says how many. */
const DEFAULT_TOKENS = 64;

/** Queries of the examples, by turns. */
const QUERIES = ['the white ships at the pier', 'planes', 'a red truck left of the building'];

/** @throws UserError for phrases and numbers of tokens that the model cannot take */
export function textExportable(source: ExportableText, options: ExportQuery): Exportable {
  const { model, config, tokenizer, tokenizerJson } = source;
  const baked = options.prompts.length > 0 ? bake(source, options.prompts) : null;
  const tokens = baked ? null : tokenCount(model.prompt.maxTokens, options.tokens);
  const special = specialIds(tokenizer);
  const closing = model.prompt.closing === undefined ? {} : { closing: model.prompt.closing };
  const selection = {
    ...model.answers,
    threshold: config.threshold,
    maxDetections: options.maxDetections,
    phrases: baked?.phrases ?? null,
  };
  return {
    kind: config.preset,
    module: model,
    imageSize: config.imageSize,
    multiple: config.preprocess.multiple,
    threshold: config.threshold,
    inputs: tokens === null ? [] : queryInputs(tokenizer, { ...model.prompt, maxTokens: tokens }),
    query: tokens === null ? null : { ...closing, tokens, padding: tokenizer.padding.id },
    labels: baked ? options.prompts : [],
    assets: { 'tokenizer.json': tokenizerJson },
    run: ({ pixels, mask, sizes }, extra) => {
      const text = baked ? bakedText(baked, pixels.shape[0]) : givenText(extra, special);
      const normalised = normalisePixels(pixels, mask, config.preprocess);
      const picture = { pixels: normalised, pixelMask: mask, inputIds: text.ids, textMask: text.mask };
      const { pred_logits, pred_boxes } = model.forward(picture, text.words);
      const raw = { pred_logits, pred_boxes };
      return { raw, detections: selectByText(raw, text.words, sizes, selection) };
    },
  };
}

function tokenCount(most: number, wanted: number | undefined): number {
  if (wanted === undefined) return Math.min(most, DEFAULT_TOKENS);
  if (Number.isInteger(wanted) && wanted >= 3 && wanted <= most) return wanted;
  throw new UserError(
    `the number of tokens must be from 3 to ${most}, which is what the model reads, not ${wanted}`,
  );
}

/** Ids that stand for no words, wherever they occur. */
function specialIds(tokenizer: Tokenizer): number[] {
  return [...new Set([...tokenizer.encode('').ids, tokenizer.padding.id])];
}

function queryInputs(tokenizer: Tokenizer, prompt: PromptOptions): ExtraInput[] {
  const { maxTokens: tokens } = prompt;
  const shared = { dtype: 'int32', shape: [tokens] } as const;
  const query = (number: number) =>
    encodePrompt(QUERIES[number % QUERIES.length]!, tokenizer, { ...prompt, truncate: true });
  return [
    {
      name: 'input_ids',
      ...shared,
      example: (number) => {
        const ids = new Int32Array(tokens).fill(tokenizer.padding.id);
        ids.set(query(number).ids);
        return ids;
      },
    },
    {
      name: 'attention_mask',
      ...shared,
      example: (number) => new Int32Array(tokens).fill(1, 0, query(number).ids.length),
    },
  ];
}

/** A query as the model takes it. */
interface ModelText {
  ids: tf.Tensor2D;
  mask: tf.Tensor2D;
  words: tf.Tensor2D;
}

function givenText(extra: Readonly<Record<string, tf.Tensor>>, special: readonly number[]): ModelText {
  const ids = extra.input_ids as tf.Tensor2D;
  const mask = tf.cast(extra.attention_mask!, 'float32') as tf.Tensor2D;
  const isWord = special.map((id) => tf.cast(tf.notEqual(ids, tf.scalar(id, 'int32')), 'float32'));
  const words = isWord.reduce<tf.Tensor>((product, each) => tf.mul(product, each), mask);
  return { ids, mask, words: words as tf.Tensor2D };
}

/** A sentence that is part of the graph. */
interface BakedQuery {
  ids: number[];
  /** 1 = a token that stands for words. */
  words: number[];
  /** Token numbers of each phrase. */
  phrases: number[][];
}

/** Phrases as one sentence, joined as the model wants them. @throws UserError where it is longer than the model reads */
function bake({ model, tokenizer }: ExportableText, prompts: readonly string[]): BakedQuery {
  const { joint } = model.prompt;
  const encoding = encodePrompt(prompts.join(joint), tokenizer, model.prompt);
  let begin = 0;
  const phrases = prompts.map((prompt) => {
    const end = begin + [...prompt].length;
    const own = encoding.offsets.flatMap(([from, to], t) =>
      !encoding.specialTokensMask[t] && from < end && to > begin ? [t] : [],
    );
    begin = end + joint.length;
    if (own.length > 0) return own;
    throw new UserError(`the phrase "${prompt}" has no words`, EXIT_CODES.data);
  });
  return { ids: encoding.ids, words: encoding.specialTokensMask.map((special) => 1 - special), phrases };
}

function bakedText({ ids, words }: BakedQuery, batch: number): ModelText {
  const each = (values: readonly number[], dtype: 'int32' | 'float32') =>
    tf.tile(tf.tensor2d([...values], [1, values.length], dtype), [batch, 1]);
  return {
    ids: each(ids, 'int32'),
    mask: each(
      ids.map(() => 1),
      'float32',
    ),
    words: each(words, 'float32'),
  };
}
