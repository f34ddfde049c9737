// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import { Conv2d, Linear } from '../../../src/models/layers/basic.js';
import { Module } from '../../../src/models/module.js';
import { readHuggingFace } from '../../../src/models/weights/huggingface.js';
import { type NameMap, packedPlace } from '../../../src/models/weights/name_map.js';
import { type StoredTensor, writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { loadStateDict, saveStateDict } from '../../../src/models/weights/state_dict.js';

/** Two names for one linear layer, a convolution, a depthwise kernel, and a counter. */
class Small extends Module {
  readonly head: Linear;
  readonly convolution: Conv2d;
  readonly depthwise: tf.Variable;
  readonly steps: tf.Variable;

  constructor() {
    super();
    this.head = this.child('head', new Linear(3, 2));
    this.child('tied', this.head);
    this.convolution = this.child('convolution', new Conv2d(2, 3, 2, { bias: false }));
    this.depthwise = this.parameter('depthwise', {
      shape: [2, 1, 2, 2],
      init: { kind: 'zeros' },
      layout: 'depthwise',
    });
    this.steps = this.parameter('steps', {
      shape: [1],
      init: { kind: 'zeros' },
      trainable: false,
      dtype: 'int32',
    });
  }
}

/** Three matrices that files keep in one. */
class Pair extends Module {
  readonly parts = ['q', 'k', 'v'].map((name) => this.child(name, new Linear(2, 2, { bias: false })));
}

beforeAll(async () => {
  await ready();
});

/** Files whose names begin with `model.`, with a buffer that is of no use. */
const PREFIXED: NameMap = {
  origin: 'a test',
  hallmark: /^model\./,
  place: (name) => ({ name: `model.${name}` }),
  dropped: [{ names: /\.buffer$/, why: 'counts steps' }],
};

const counting = (n: number) => Float32Array.from({ length: n }, (_, i) => i + 1);

let module: Small;
let tensors: Map<string, StoredTensor>;

beforeEach(() => {
  module = new Small();
  tensors = new Map<string, StoredTensor>([
    ['head.weight', { dtype: 'F32', shape: [2, 3], data: counting(6) }],
    ['head.bias', { dtype: 'F64', shape: [2], data: new Float64Array([0.5, 0.25]) }],
    ['convolution.weight', { dtype: 'F32', shape: [3, 2, 2, 2], data: counting(24) }],
    ['depthwise', { dtype: 'F32', shape: [4, 1, 2, 1], data: counting(8) }],
    ['steps', { dtype: 'I64', shape: [1], data: new BigInt64Array([12n]) }],
  ]);
});

describe('loadStateDict', () => {
  it('converts layouts and types, and fills tied parameters once', () => {
    const report = loadStateDict(module, tensors);
    expect(report.matched).toHaveLength(5);
    expect(report.missing).toEqual([]);
    expect([...module.head.weight.dataSync()]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(module.steps.dataSync()[0]).toBe(12);
    // OIHW [o, i, h, w] lies at HWIO [h, w, i, o].
    const stored = tf.tensor4d(counting(24), [3, 2, 2, 2]).transpose([2, 3, 1, 0]);
    expect(module.convolution.weight.arraySync()).toEqual(stored.arraySync());
    // Depthwise [input * mult, 1, h, w] lies at [h, w, input, mult].
    const kernels = tf.tensor4d(counting(8), [2, 2, 2, 1]).transpose([2, 3, 0, 1]);
    expect(module.depthwise.arraySync()).toEqual(kernels.arraySync());
  });

  it('gives back what it was given', () => {
    loadStateDict(module, tensors);
    const saved = saveStateDict(module, { names: PREFIXED });
    expect([...saved.keys()].sort()).toEqual([...tensors.keys()].map((name) => `model.${name}`).sort());
    for (const [name, { shape, data }] of tensors) {
      expect(saved.get(`model.${name}`)!.shape).toEqual(shape);
      expect(Array.from(saved.get(`model.${name}`)!.data, Number)).toEqual(Array.from(data, Number));
    }
  });

  it('loads nothing at all if strict and anything differs, and says what', () => {
    const before = saveStateDict(module);
    tensors.set('head.weight', { dtype: 'F32', shape: [3, 2], data: counting(6) });
    tensors.set('extra', { dtype: 'F32', shape: [1], data: counting(1) });
    tensors.delete('depthwise');
    const load = () => loadStateDict(module, tensors, { source: 'old.safetensors' });
    expect(load).toThrow(
      /old\.safetensors does not fit.*head\.weight is \[3,2\] where the model has \[2,3\]/,
    );
    expect(load).toThrow(/1 missing \(depthwise\); 1 unknown \(extra\)/);
    expect(saveStateDict(module)).toEqual(before);
  });

  it('loads what fits if not strict, and reports the rest', () => {
    tensors.set('head.weight', { dtype: 'F32', shape: [3, 2], data: counting(6) });
    tensors.set('extra', { dtype: 'F32', shape: [1], data: counting(1) });
    tensors.delete('steps');
    const report = loadStateDict(module, tensors, { strict: false });
    expect(report.mismatched).toEqual([
      { name: 'head.weight', nameInFile: 'head.weight', expected: [2, 3], received: [3, 2] },
    ]);
    expect(report.missing).toEqual(['steps']);
    expect(report.unexpected).toEqual(['extra']);
    expect(module.head.bias!.dataSync()[0]).toBe(0.5);
  });

  it('follows a name map, and leaves out what the map leaves out', () => {
    const renamed = new Map([...tensors].map(([name, tensor]) => [`model.${name}`, tensor]));
    renamed.set('model.buffer', { dtype: 'F32', shape: [1], data: counting(1) });
    const { ignored, origins } = loadStateDict(module, renamed, { names: PREFIXED });
    expect(ignored).toEqual([{ name: 'model.buffer', why: 'counts steps' }]);
    expect(origins.get('head.bias')).toBe('model.head.bias');
    expect(module.steps.dataSync()[0]).toBe(12);
    renamed.delete('model.steps');
    expect(() => loadStateDict(module, renamed, { names: PREFIXED })).toThrow(/1 missing \(model\.steps\)/);
  });

  it('takes apart what a file packs, puts it together again, and refuses rows that cannot be cut', () => {
    const pair = new Pair();
    const names: NameMap = { ...PREFIXED, place: (name) => packedPlace('both.weight', name) };
    const both: StoredTensor = { dtype: 'F32', shape: [6, 2], data: counting(12) };
    expect(loadStateDict(pair, new Map([['both.weight', both]]), { names }).matched).toHaveLength(3);
    expect([...pair.parts[1]!.weight.dataSync()]).toEqual([5, 6, 7, 8]);
    expect(saveStateDict(pair, { names })).toEqual(new Map([['both.weight', both]]));
    const odd = new Map([['both.weight', { ...both, shape: [4, 3] }]]);
    expect(() => loadStateDict(pair, odd, { names })).toThrow(
      /both\.weight is \[4,3\] where the model has \[6,2\]/,
    );
  });

  it('refuses two values for what is one in the model', () => {
    tensors.set('tied.bias', { dtype: 'F32', shape: [2], data: new Float32Array([0.5, 0.25]) });
    loadStateDict(module, tensors);
    tensors.set('tied.bias', { dtype: 'F32', shape: [2], data: new Float32Array([0.5, 0.5]) });
    expect(() => loadStateDict(module, tensors)).toThrow(
      /tied\.bias differs from head\.bias, but they are one and the same/,
    );
  });

  it('refuses NaN and numbers that do not fit before it changes anything', () => {
    const before = saveStateDict(module);
    tensors.set('head.bias', { dtype: 'F32', shape: [2], data: new Float32Array([0, Number.NaN]) });
    expect(() => loadStateDict(module, tensors)).toThrow(/head\.bias holds NaN at place 1/);
    tensors.set('head.bias', { dtype: 'F32', shape: [2], data: new Float32Array(2) });
    tensors.set('steps', { dtype: 'I64', shape: [1], data: new BigInt64Array([2n ** 40n]) });
    expect(() => loadStateDict(module, tensors)).toThrow(/steps holds 1099511627776/);
    expect(saveStateDict(module)).toEqual(before);
  });
});

describe('readHuggingFace', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tfgeo-hf-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('reads a folder', async () => {
    const { config, tensors: read } = await readHuggingFace('test/fixtures/swin/absolute');
    expect(config.model_type).toBe('swin');
    expect(read.has('embeddings.position_embeddings')).toBe(true);
  });

  it('joins the parts of a large model, and misses a part or a tensor', async () => {
    const parts = join(folder, 'parts');
    mkdirSync(parts);
    writeFileSync(join(parts, 'config.json'), '{}');
    const one = [...tensors].slice(0, 2);
    const two = [...tensors].slice(2);
    writeSafetensors(join(parts, 'one.safetensors'), one);
    writeSafetensors(join(parts, 'two.safetensors'), two);
    const map = Object.fromEntries([
      ...one.map(([name]) => [name, 'one.safetensors']),
      ...two.map(([name]) => [name, 'two.safetensors']),
    ]);
    const index = join(parts, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: map }));
    expect([...(await readHuggingFace(parts)).tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
    writeFileSync(index, JSON.stringify({ weight_map: { ...map, ghost: 'one.safetensors' } }));
    await expect(readHuggingFace(parts)).rejects.toThrow(/lists tensor ghost, which no part holds/);
  });

  it('says what is missing', async () => {
    await expect(readHuggingFace(join(folder, 'none'))).rejects.toThrow(/there is no folder/);
    await expect(readHuggingFace(folder)).rejects.toThrow(/config\.json/);
    writeFileSync(join(folder, 'config.json'), '[1]');
    await expect(readHuggingFace(folder)).rejects.toThrow(/does not hold a JSON object/);
    writeFileSync(join(folder, 'config.json'), '{}');
    await expect(readHuggingFace(folder)).rejects.toThrow(/model\.safetensors/);
    writeFileSync(join(folder, 'pytorch_model.bin'), '');
    await expect(readHuggingFace(folder)).rejects.toThrow(
      /pytorch_model\.bin is not a sound safetensors file: it is empty/,
    );
  });
});
