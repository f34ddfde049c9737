// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import { countParts, type ShapeOf } from '../weights/name_map.js';
import type { TextEncoderConfig } from './encoder_config.js';
import { textEncoderFamily, textEncoderSettings, textEncoderSizes } from './families.js';

/** Channels of a head in nearly all published encoders. */
const HEAD = 64;

/**
 * The text encoder that shapes of weights tell: RoBERTa has one type of tokens, BERT two. Heads of attention, which no shape
 * tells, are those of the published size of this width and depth, or have 64 channels.
 * @param shapeOf by the encoder's own names
 * @throws UserError naming the tensor that is missing
 */
export function inferTextEncoder(
  shapeOf: ShapeOf,
  source: string,
): { name: string; config: Partial<TextEncoderConfig> } {
  const [vocab_size = 0, hidden_size = 0] = shapeOf.need('embeddings.word_embeddings.weight');
  const [types] = shapeOf.need('embeddings.token_type_embeddings.weight');
  const [max_position_embeddings = 0] = shapeOf.need('embeddings.position_embeddings.weight');
  const [intermediate_size = 0] = shapeOf.need('encoder.layer.0.intermediate.dense.weight');
  const layers = countParts(shapeOf, (i) => `encoder.layer.${i}.output.dense.weight`);
  const name = types === 1 ? 'roberta' : 'bert';
  const shapes = { hidden_size, intermediate_size, num_hidden_layers: layers };
  const published = textEncoderSizes()
    .filter((size) => textEncoderFamily(size) === name)
    .map((size) => textEncoderSettings(size, {}))
    .find((size) =>
      Object.entries(shapes).every(([key, value]) => size[key as keyof typeof shapes] === value),
    );
  const heads = published?.num_attention_heads ?? hidden_size / HEAD;
  if (!Number.isInteger(heads)) {
    throw new UserError(
      `${source}: its text encoder is ${hidden_size} wide, which no published one is; give a config.json that tells its heads`,
      EXIT_CODES.checkpoint,
    );
  }
  return {
    name,
    config: {
      ...shapes,
      vocab_size,
      max_position_embeddings,
      num_attention_heads: heads,
      add_pooling_layer: shapeOf('pooler.dense.weight') !== null,
    },
  };
}
