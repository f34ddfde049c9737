// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import {
  loadTextEncoder,
  positionIds,
  sentenceEmbeddings,
  type TransformerTextEncoder,
} from '../../src/models/text/index.js';
import type { CaseContext } from './context.js';
import { compareGradientsOf } from './gradients.js';

/** BERT or RoBERTa: hidden states, pooler, sentence vectors, gradients. */
export async function runTextEncoder(context: CaseContext): Promise<void> {
  const { encoder } = await loadTextEncoder(dirname(context.fileLike('config.json')));
  try {
    compareEncoder(context, encoder);
  } finally {
    encoder.dispose();
  }
}

function compareEncoder(context: CaseContext, encoder: TransformerTextEncoder): void {
  const ids = context.tensor<tf.Tensor2D>('in/input_ids');
  const mask = context.has('in/attention_mask')
    ? context.tensor<tf.Tensor2D>('in/attention_mask', 'float32')
    : null;
  const { hidden, hiddenStates, pooled, positions, sentence } = context.compute(() => {
    const output = encoder.forward(ids, mask);
    return {
      ...output,
      pooled: context.has('out/pooler_output') ? encoder.pool(output.hidden) : null,
      positions: positionIds(ids, encoder.padId),
      sentence: mask && context.has('out/sentence') ? sentenceEmbeddings(output.hidden, mask) : null,
    };
  });
  hiddenStates.forEach((state, i) => {
    context.compare(`out/hidden_states.${i}`, state);
  });
  context.compare('out/last_hidden_state', hidden);
  if (pooled) context.compare('out/pooler_output', pooled);
  if (sentence) context.compare('out/sentence', sentence);
  context.compare('out/position_ids', positions);
  compareGradientsOf(context, encoder, () => {
    const { hidden } = encoder.forward(ids, mask);
    const terms = [tf.sum(tf.mul(hidden, context.tensor('in/upstream.last')))];
    if (context.has('in/upstream.pooler')) {
      terms.push(tf.sum(tf.mul(encoder.pool(hidden), context.tensor('in/upstream.pooler'))));
    }
    return tf.addN(terms) as tf.Scalar;
  });
}
