// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { type ModelConfig, PRESETS, preset } from '../../src/models/config.js';
import { parseModelConfig } from '../../src/models/config_check.js';
import { overrideModelConfig } from '../../src/models/config_override.js';
import { mergeDeep, nestKeys } from '../../src/models/config_tree.js';

/** The error of `act`, which must be a UserError. */
function mistake(act: () => unknown): UserError {
  try {
    act();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** The tiny preset as parsed JSON, changed. */
function file(change: (config: Record<string, Record<string, unknown>>) => void): unknown {
  const config = JSON.parse(JSON.stringify(preset('mdetr-g-tiny')));
  change(config);
  return config;
}

/** A preset of Deformable DETR as parsed JSON, changed. */
function detr(change: (config: Record<string, Record<string, unknown>>) => void): unknown {
  const config = JSON.parse(JSON.stringify(preset('deformable-detr-r50-refine')));
  change(config);
  return config;
}

describe('a detector of classes', () => {
  const cases: [string, (config: Record<string, Record<string, unknown>>) => void, RegExp][] = [
    ['a key of the other family', (c) => Object.assign(c, { text: {} }), /unknown key "text"/],
    ['no class', (c) => Object.assign(c, { labels: [] }), /labels must be a list of names, but it is \[\]/],
    [
      'six levels',
      (c) => Object.assign(c.transformer!, { levels: 6 }),
      /levels must be a whole number from 1 to 5/,
    ],
    [
      'an odd width',
      (c) => Object.assign(c.transformer!, { dModel: 100 }),
      /dModel must be a multiple of 32/,
    ],
    [
      'heads that do not divide',
      (c) => Object.assign(c.transformer!, { decoderHeads: 7 }),
      /transformer.decoderHeads is 7, which does not divide transformer.dModel, 256/,
    ],
    [
      'two stages with one head',
      (c) => Object.assign(c.transformer!, { twoStage: true, sharedClassHead: true }),
      /sharedClassHead must be false with/,
    ],
    [
      'an unknown backbone',
      (c) => Object.assign(c.backbone!, { name: 'resnet-51' }),
      /did you mean resnet-5|resnet-50/,
    ],
  ];

  it.each(cases)('is refused with %s', (_, change, message) => {
    expect(mistake(() => parseModelConfig(detr(change), 'm/config.json')).message).toMatch(message);
  });

  it('is changed key by key', () => {
    const changed = overrideModelConfig(preset('deformable-detr-r50'), {
      'transformer.queries': 50,
      labels: ['a'],
    });
    expect(changed.transformer.queries).toBe(50);
    expect(changed.labels).toEqual(['a']);
    expect(changed.backbone).toEqual(preset('deformable-detr-r50').backbone);
  });
});

describe('preset', () => {
  it('gives copies and names the presets there are', () => {
    preset('mdetr-g-tiny').transformer.queries = 1;
    expect(preset('mdetr-g-tiny').transformer.queries).toBe(40);
    expect(() => preset('mdetr-g-tin')).toThrow('Did you mean "mdetr-g-tiny"?');
  });
});

describe('parseModelConfig', () => {
  it('accepts every preset as it is written to a file', () => {
    for (const config of Object.values(PRESETS)) {
      expect(parseModelConfig(JSON.parse(JSON.stringify(config)), 'config.json')).toEqual(config);
    }
  });

  it.each([null, 3, [], 'mdetr-g'])('refuses %j, which is no object', (value) => {
    expect(() => parseModelConfig(value, 'm/config.json')).toThrow('it holds no JSON object');
  });

  it('refuses the configuration of something else', () => {
    const error = mistake(() => parseModelConfig({ model_type: 'swin' }, 'm/config.json'));
    expect(error.message).toMatch(/^m\/config\.json is not .*model_type is "swin"/);
    expect(error.exitCode).toBe(EXIT_CODES.checkpoint);
  });

  const cases: [string, (config: Record<string, Record<string, unknown>>) => void, RegExp][] = [
    ['a missing part', (c) => delete c.transformer, /"transformer" is missing/],
    ['a missing key', (c) => delete c.transformer!.queries, /"transformer.queries" is missing/],
    ['an unknown key', (c) => Object.assign(c, { treshold: 1 }), /"treshold", did you mean "threshold"\?/],
    [
      'an unknown key of a part',
      (c) => Object.assign(c.transformer!, { querys: 1 }),
      /"transformer.querys", did you mean "transformer.queries"\?/,
    ],
    [
      'text for a number',
      (c) => Object.assign(c.transformer!, { ffn: '256' }),
      /transformer.ffn .*it is "256"/,
    ],
    [
      'a negative size',
      (c) => Object.assign(c.transformer!, { points: -2 }),
      /transformer.points must be a whole/,
    ],
    [
      'half a layer',
      (c) => Object.assign(c.transformer!, { encoderLayers: 1.5 }),
      /encoderLayers must be a whole/,
    ],
    [
      'an unknown head',
      (c) => Object.assign(c.transformer!, { head: 'soft' }),
      /one of token-sigmoid, soft-token/,
    ],
    ['an unknown source', (c) => Object.assign(c.transformer!, { querySource: 1 }), /one of text, learned/],
    [
      'heads that do not fit',
      (c) => Object.assign(c.transformer!, { heads: 7 }),
      /heads is 7, which does not divide/,
    ],
    [
      'a flag that is none',
      (c) => Object.assign(c.transformer!, { textToImage: 1 }),
      /must be true or false/,
    ],
    ['a list for a part', (c) => Object.assign(c, { preprocess: [] }), /preprocess must be an object/],
    [
      'two channels',
      (c) => Object.assign(c.preprocess!, { mean: [0, 0] }),
      /preprocess.mean must be three numbers/,
    ],
    ['a deviation of 0', (c) => Object.assign(c.preprocess!, { std: [1, 0, 1] }), /three numbers above 0/],
    [
      'a threshold above 1',
      (c) => Object.assign(c, { threshold: 30 }),
      /threshold must be a number from 0 to 1/,
    ],
    ['an unknown backbone', (c) => Object.assign(c.backbone!, { name: 'swim' }), /did you mean swin/],
    [
      'a bad backbone',
      (c) => Object.assign(c.backbone!, { config: { embed_dims: 32 } }),
      /^m\/config\.json: backbone\.config: unknown key embed_dims \(did you mean embed_dim\?\)/,
    ],
    ['an unknown text encoder', (c) => Object.assign(c.text!, { name: 'robert' }), /Did you mean "roberta"/],
    [
      'a bad text encoder',
      (c) => Object.assign(c.text!, { config: { hidden_sise: 8 } }),
      /^m\/config\.json: text\.config: unknown key hidden_sise \(did you mean hidden_size\?\)/,
    ],
    [
      'a dropout of 1',
      (c) => Object.assign(c.text!.config as object, { hidden_dropout_prob: 1 }),
      /text\.config: hidden_dropout_prob must be a number from 0 to below 1/,
    ],
  ];

  it.each(cases)('refuses %s', (_, change, message) => {
    const error = mistake(() => parseModelConfig(file(change), 'm/config.json'));
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
    expect(error.exitCode).toBe(EXIT_CODES.checkpoint);
  });
});

describe('overrideModelConfig', () => {
  const base = preset('mdetr-g-tiny');

  it('changes what is named, nested or dotted, and nothing else', () => {
    const wanted: ModelConfig = preset('mdetr-g-tiny');
    wanted.transformer.queries = 60;
    expect(overrideModelConfig(base, { transformer: { queries: 60 } })).toEqual(wanted);
    expect(overrideModelConfig(base, { 'transformer.queries': 60 })).toEqual(wanted);
    expect(base).toEqual(preset('mdetr-g-tiny'));
    expect(overrideModelConfig(base, {})).toEqual(base);
  });

  it('reaches settings that the preset leaves to their defaults', () => {
    const { backbone } = overrideModelConfig(base, { 'backbone.config.drop_path_rate': 0.1 });
    expect(backbone.config).toEqual({ ...base.backbone.config, drop_path_rate: 0.1 });
  });

  it('starts another backbone from its own defaults', () => {
    const { backbone } = overrideModelConfig(base, { 'backbone.name': 'swin-tiny' });
    expect(backbone).toEqual({ name: 'swin-tiny', config: {} });
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [
      { 'transformer.querys': 60 },
      /^modelOverrides: unknown key "transformer.querys", did you mean "transformer.queries"\?/,
    ],
    [{ queries: 60 }, /unknown key "queries"/],
    [{ transformer: 5 }, /transformer must be an object, but it is 5/],
    [{ 'transformer.heads': 3 }, /does not divide/],
    [{ imageSize: 320 }, /imageSize is decided by the key imageSize/],
    [{ 'text.config.vocab_size': 10 }, /decided by the tokenizer/],
  ])('refuses %j', (changes, message) => {
    const error = mistake(() => overrideModelConfig(base, changes));
    expect(error.message).toMatch(message);
    expect(error.exitCode).toBe(EXIT_CODES.usage);
  });
});

describe('trees', () => {
  it('nests dotted keys, the later one winning', () => {
    expect(nestKeys({ 'a.b': 1, a: { c: 2, 'd.e': 3 } })).toEqual({ a: { b: 1, c: 2, d: { e: 3 } } });
    expect(nestKeys({ a: { b: 1 }, 'a.b': 2 })).toEqual({ a: { b: 2 } });
    expect(nestKeys({ 'a.b': 2, a: { b: 1 } })).toEqual({ a: { b: 1 } });
  });

  it('merges into a copy', () => {
    const base = { a: { list: [1, 2], x: 1 } };
    const merged = mergeDeep(base, { a: { list: [3] } });
    expect(merged).toEqual({ a: { list: [3], x: 1 } });
    expect(base).toEqual({ a: { list: [1, 2], x: 1 } });
  });
});
