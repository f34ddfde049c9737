// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { UserError } from '../../../src/errors.js';
import { seedInitialisers } from '../../../src/models/init.js';
import {
  buildTextEncoder,
  encodePrompt,
  positionIds,
  RobertaEncoder,
  Tokenizer,
} from '../../../src/models/text/index.js';
import { readHuggingFace } from '../../../src/models/weights/huggingface.js';
import { readSafetensors } from '../../../src/models/weights/safetensors.js';
import { loadStateDict } from '../../../src/models/weights/state_dict.js';
import { RandomStream } from '../../../src/ops/index.js';

const folder = 'test/fixtures/roberta';
const tokenizer = await Tokenizer.fromFile(`${folder}/tokenizer.json`);

beforeAll(async () => {
  await ready();
});

/** The stream of a seed. */
const stream = (seed: number) => new RandomStream(tf.tensor1d([seed, 7], 'int32'));

async function tinyEncoder(): Promise<RobertaEncoder> {
  const { config, tensors } = await readHuggingFace(`${folder}/tiny`);
  const encoder = new RobertaEncoder(config);
  loadStateDict(encoder, tensors);
  return encoder;
}

interface EncoderCase {
  name: string;
  kind: string;
  tensors: Record<string, { tol?: number }>;
}
const manifest: { cases: EncoderCase[] } = JSON.parse(readFileSync(`${folder}/manifest.json`, 'utf8'));

describe('RobertaEncoder equals transformers', () => {
  const cases = manifest.cases.filter(({ kind }) => kind === 'encoder');

  it.each(cases.map((entry) => [entry.name, entry] as const))('%s', async (name, { tensors }) => {
    const stored = await readSafetensors(`${folder}/${name}.safetensors`);
    const read = (key: string, dtype: 'int32' | 'float32') => {
      const { data, shape } = stored.get(key)!;
      return tf.tensor(Array.from(data, Number), shape, dtype);
    };
    const encoder = await tinyEncoder();
    const ids = read('in/input_ids', 'int32') as tf.Tensor2D;
    const mask = read('in/attention_mask', 'float32');
    const { hidden, hiddenStates } = encoder.forward(ids, mask);
    const got: Record<string, tf.Tensor> = {
      'out/last_hidden_state': hidden,
      'out/pooler_output': encoder.pool(hidden),
      'out/position_ids': positionIds(ids, encoder.padId),
    };
    hiddenStates.forEach((state, i) => {
      got[`out/hidden_states.${i}`] = state;
    });
    const variables = encoder.trainableParameters();
    const { grads } = tf.variableGrads(() => {
      const last = encoder.encode(ids, mask);
      const first = tf.sum(tf.mul(last, read('in/upstream.last', 'float32')));
      return tf.add(
        first,
        tf.sum(tf.mul(encoder.pool(last), read('in/upstream.pooler', 'float32'))),
      ) as tf.Scalar;
    }, [...variables.values()]);
    for (const [key, variable] of variables) got[`grad/${key}`] = grads[variable.name]!;
    const wanted = Object.entries(tensors).filter(([key]) => !key.startsWith('in/'));
    expect(wanted.length).toBeGreaterThan(10);
    for (const [key, { tol }] of wanted) {
      const values = got[key]!.dataSync();
      const { data, shape } = stored.get(key)!;
      expect(got[key]!.shape).toEqual(shape);
      const error = Math.max(...Array.from(data, Number).map((value, k) => Math.abs(value - values[k]!)));
      expect({ key, within: error <= (tol ?? 0), error }).toEqual({ key, within: true, error });
    }
  });
});

describe('RobertaEncoder', () => {
  it('gives padded texts what it gives them alone, whichever side the padding is on', async () => {
    const encoder = await tinyEncoder();
    const [ids] = [tokenizer.encode('two ships').ids];
    const alone = encoder.encode(tf.tensor2d([ids], undefined, 'int32'), null).dataSync();
    for (const row of [
      [...ids, 1, 1],
      [1, 1, ...ids],
    ]) {
      const input = tf.tensor2d([row], undefined, 'int32');
      const first = row[0] === 1 ? 2 : 0;
      const hidden = encoder.encode(input, tf.notEqual(input, 1)).slice([0, first, 0], [1, ids.length, 32]);
      const values = hidden.dataSync();
      expect(Math.max(...alone.map((value, k) => Math.abs(value - values[k]!)))).toBeLessThan(1e-5);
    }
  });

  it('takes a mask of which token may see which', async () => {
    const encoder = await tinyEncoder();
    const { ids } = tokenizer.encode('a ship');
    const n = ids.length;
    const input = tf.tensor2d([ids], undefined, 'int32');
    const causal = tf.linalg.bandPart(tf.ones([1, n, n]), -1, 0) as tf.Tensor3D;
    const changed = tf.tensor2d([[...ids.slice(0, -1), 5]], undefined, 'int32');
    const [a, b] = [input, changed].map((x) => encoder.encode(x as tf.Tensor2D, causal).arraySync()[0]!);
    expect(a!.slice(0, -1)).toEqual(b!.slice(0, -1));
    expect(a!.at(-1)).not.toEqual(b!.at(-1));
  });

  it('drops out by the seed, and only when it is given one', async () => {
    const encoder = await tinyEncoder();
    const ids = tf.tensor2d([tokenizer.encode('the red car').ids], undefined, 'int32');
    const run = (seed: number | null) =>
      encoder.encode(ids, null, { training: true, random: seed === null ? null : stream(seed) }).dataSync();
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
    expect(run(null)).toEqual(encoder.encode(ids, null).dataSync());
    expect(encoder.encode(ids, null, { training: false, random: stream(1) }).dataSync()).toEqual(run(null));
  });

  it('leaks no tensor in a step of training', async () => {
    const encoder = await tinyEncoder();
    const ids = tf.tensor2d([tokenizer.encode('the red car').ids], undefined, 'int32');
    const seed = tf.tensor1d([1, 2], 'int32');
    const step = () => {
      const random = new RandomStream(seed);
      const { value, grads } = tf.variableGrads(
        () => tf.sum(tf.square(encoder.encode(ids, null, { random }))) as tf.Scalar,
      );
      value.dispose();
      tf.dispose(grads);
    };
    step();
    const before = tf.memory().numTensors;
    step();
    step();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('has the same weights for the same seed and the names of published files', () => {
    const make = () => {
      seedInitialisers(3);
      return buildTextEncoder('roberta', {
        vocab_size: 20,
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 16,
        max_position_embeddings: 12,
      });
    };
    const [a, b] = [make(), make()];
    expect([a.hiddenSize, a.maxTokens, a.padId]).toEqual([8, 10, 1]);
    const names = [...a.namedParameters().keys()];
    expect(names).toContain('encoder.layer.0.attention.self.query.weight');
    expect(names).toContain('embeddings.token_type_embeddings.weight');
    for (const name of names) {
      const [x, y] = [a, b].map((encoder) => encoder.namedParameters().get(name)!.variable.dataSync());
      expect(x).toEqual(y);
    }
  });

  it('refuses what it cannot take', async () => {
    const encoder = await tinyEncoder();
    expect(() => encoder.encode(tf.ones([1, 65], 'int32') as tf.Tensor2D, null)).toThrow(
      /expected at most 64 tokens for ids but received 65/,
    );
    expect(() => buildTextEncoder('robertа', {})).toThrow(/Did you mean "roberta"/);
    expect(() => buildTextEncoder('roberta', { hidden_size: 7.5 })).toThrow(UserError);
    expect(() => new RobertaEncoder({ hidden_size: 10, num_attention_heads: 3 })).toThrow(/divisible/);
    const small = { vocab_size: 9, hidden_size: 8, num_attention_heads: 2, num_hidden_layers: 1 };
    expect(() => new RobertaEncoder({ ...small, hidden_act: 'tan' })).toThrow(
      /hidden_act but received 'tan'/,
    );
  });
});

describe('encodePrompt', () => {
  const long = 'the red car next to the white van '.repeat(10).trim();

  it('refuses a prompt that is too long, with both numbers', () => {
    const given = tokenizer.encode(long).ids.length;
    expect(() => encodePrompt(long, tokenizer, { maxTokens: 64 })).toThrow(UserError);
    expect(() => encodePrompt(long, tokenizer, { maxTokens: 64 })).toThrow(`${given} tokens`);
    expect(() => encodePrompt(long, tokenizer, { maxTokens: 64 })).toThrow('at most 64');
  });

  it('cuts it where that is asked for, and says so', () => {
    const encoding = encodePrompt(long, tokenizer, { maxTokens: 64, truncate: true });
    expect(encoding.ids).toHaveLength(64);
    expect(encoding.truncated).toBe(true);
  });

  it.each(['', ' \n'])('refuses an empty prompt: %j', (prompt) => {
    expect(() => encodePrompt(prompt, tokenizer, { maxTokens: 64 })).toThrow(/prompt is empty/);
  });
});
