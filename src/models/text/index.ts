// SPDX-License-Identifier: Apache-2.0

export { BertEncoder } from './bert.js';
export { BERT_DEFAULTS, type BertConfig } from './bert_config.js';
export { type BpeTrainerOptions, trainBpe } from './bpe_trainer.js';
export type { TextEncoderConfig } from './encoder_config.js';
export type { Encoding } from './encoding.js';
export {
  buildTextEncoder,
  checkTextEncoder,
  textEncoderFamily,
  textEncoderSettings,
  textEncoderSizes,
  textFamilies,
} from './families.js';
export { inferTextEncoder } from './infer.js';
export { sentenceEmbeddings } from './pooling.js';
export { encodePrompt, type PromptOptions, requirePrompt } from './prompt.js';
export { installedText, installText, loadInstalledText, PUBLISHED_TEXTS } from './published.js';
export { positionIds, RobertaEncoder } from './roberta.js';
export { ROBERTA_DEFAULTS, type RobertaConfig } from './roberta_config.js';
export {
  booleanMap,
  type Phrase,
  phraseOfTokens,
  positiveMap,
  SLOTS,
  tokensOfSpans,
  wordsOf,
} from './spans.js';
export type { TextEncoder, TextEncoderOptions, TextFeatures } from './text_encoder.js';
export { loadTextEncoder, TEXT_NAMES } from './text_weights.js';
export { type BatchOptions, type EncodeOptions, Tokenizer } from './tokenizer.js';
export type { TransformerTextEncoder } from './transformer_encoder.js';
