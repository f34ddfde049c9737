// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { readHuggingFace } from '../weights/huggingface.js';
import { chooseNames, type Dropped, type NameMap } from '../weights/name_map.js';
import { type LoadReport, loadStateDict } from '../weights/state_dict.js';
import { buildTextEncoder } from './families.js';
import type { TransformerTextEncoder } from './transformer_encoder.js';

const DROPPED: readonly Dropped[] = [
  { names: /^(cls|lm_head|classifier)\./, why: 'head of a language model' },
  { names: /^embeddings\.position_ids$/, why: 'table of numbers in order' },
  { names: /^pooler\./, why: 'pooler, which the encoder was made without' },
];

const huggingFace: NameMap = {
  origin: 'Hugging Face',
  hallmark: /^embeddings\.LayerNorm\.weight$/,
  place: (name) => ({ name }),
  dropped: DROPPED,
};

/** Files that were made of TensorFlow's call the norms' parameters gamma and beta. */
const converted: NameMap = {
  ...huggingFace,
  hallmark: /^embeddings\.LayerNorm\.gamma$/,
  place: (own) => ({
    name: own.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
  }),
};

/** How published BERT, MiniLM and RoBERTa are named; all may stand behind `bert.` or `roberta.`. */
export const TEXT_NAMES: readonly [NameMap, ...NameMap[]] = [huggingFace, converted];

/**
 * A text encoder from a Hugging Face folder of BERT, MiniLM or RoBERTa (`config.json`, `model.safetensors`).
 *
 * @param settings overrides of `config.json`, such as `{ add_pooling_layer: false }`
 * @throws UserError if anything but the pooler is missing, or anything is unknown
 */
export async function loadTextEncoder(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<{ encoder: TransformerTextEncoder; report: LoadReport }> {
  const { config, tensors } = await readHuggingFace(folder);
  const name = config.model_type;
  if (typeof name !== 'string') {
    throw new UserError(
      `${folder}/config.json names no model_type; give the folder of a text encoder`,
      EXIT_CODES.checkpoint,
    );
  }
  const pooler = [...tensors.keys()].some((key) => key.endsWith('pooler.dense.weight'));
  const encoder = buildTextEncoder(name, { ...config, add_pooling_layer: pooler, ...settings });
  const names = chooseNames(TEXT_NAMES, tensors.keys()) ?? huggingFace;
  return { encoder, report: loadStateDict(encoder, tensors, { names, source: folder }) };
}
