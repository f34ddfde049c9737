// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import {
  CONFIG_KEYS,
  checkTogether,
  configFromFlags,
  configTables,
  configToYaml,
  defaultConfig,
  flagName,
  mergeConfig,
  parseConfig,
  type RunConfig,
  resolveConfig,
  toJsonSchema,
  toYargsOptions,
} from '../../src/train/config.js';
import { RECIPES, recipe } from '../../src/train/recipes/index.js';

describe('configuration files', () => {
  it('are YAML or JSON', () => {
    expect(parseConfig('lr: 5e-4 # comment\nlossWeights:\n  giou: 2\n', 'a.yaml')).toEqual({
      lr: 5e-4,
      lossWeights: { giou: 2 },
    });
    expect(parseConfig('{"steps": 7}', 'a.json')).toEqual({ steps: 7 });
    expect(parseConfig('', 'empty.yaml')).toEqual({});
  });

  it('name file and line of a fault, and what was probably meant', () => {
    const parse = (text: string) => () => parseConfig(text, 'run.yaml');
    expect(parse('lr: 1e-4\n\nbatch_size: 8')).toThrow(
      'run.yaml:3: unknown key "batch_size", did you mean "batchSize" (a whole number from 1 to 4096)?',
    );
    expect(parse('steps: 5\nlr: fast')).toThrow(
      'run.yaml:2: lr must be a number above 0 up to 10, but it is "fast"',
    );
    expect(parse('lr: 0')).toThrow('lr must be a number above 0');
    expect(parse('steps: 1.5')).toThrow('steps must be a whole number from 1 up, but it is 1.5');
    expect(parse('schedule: cosin')).toThrow('schedule must be one of constant, step');
    expect(parse('lossWeights: {giou: much}')).toThrow('lossWeights must be names with numbers from 0 up');
    expect(parse('lr: .nan')).toThrow('run.yaml:1: lr must be');
    expect(parse('lr: 1\nlr: 2')).toThrow('run.yaml:2:');
    expect(parse('- a')).toThrow('run.yaml: expected keys and values');
    expect(parse('zzzzzzzz: 1')).toThrow('lists all keys');
  });

  it('survive writing and reading', () => {
    const config = mergeConfig({ lossWeights: { giou: 2 }, out: 'a: b #c', lrMilestones: [3, 4] });
    expect(parseConfig(configToYaml(config), 'again')).toEqual(config);
  });
});

describe('flags', () => {
  it('are the keys in kebab case', () => {
    expect(flagName('textLrMultiplier')).toBe('text-lr-multiplier');
    expect(flagName('beta1')).toBe('beta1');
    expect(new Set(Object.keys(toYargsOptions())).size).toBe(CONFIG_KEYS.length);
  });

  it('become values of the right kind', () => {
    const flags = {
      lr: '1e-3',
      'batch-size': '4',
      augment: false,
      epochs: 'none',
      'lr-milestones': '10,20',
      'loss-weights': 'giou=2,l1=5',
      'model-overrides': 'queries=50,head=soft',
      mix: '{"scenes": 0.5}',
      unrelated: 1,
      steps: undefined,
    };
    expect(configFromFlags(flags)).toEqual({
      lr: 1e-3,
      batchSize: 4,
      augment: false,
      epochs: null,
      lrMilestones: [10, 20],
      lossWeights: { giou: 2, l1: 5 },
      modelOverrides: { queries: 50, head: 'soft' },
      mix: { scenes: 0.5 },
    });
  });

  it('say what they take', () => {
    expect(() => configFromFlags({ 'batch-size': 'eight' })).toThrow(
      '--batch-size must be a whole number from 1 to 4096, but it is "eight"',
    );
    expect(() => configFromFlags({ 'loss-weights': 'giou' })).toThrow('(such as a=1,b=2), but it is "giou"');
    expect(() => configFromFlags({ lr: ['1', '2'] })).toThrow('but it is more than one');
  });
});

describe('resolveConfig', () => {
  it('lets the recipe, the file, the flags and the code win in that order', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tfgeo-config-'));
    const file = join(folder, 'run.yaml');
    await writeFile(file, 'recipe: smoke\nbatchSize: 3\nwarmup: 7\nlossWeights: {giou: 2, l1: 5}\n');
    const flags = { warmup: '8', 'loss-weights': 'l1=1' };
    const config = await resolveConfig({ file, flags, overrides: { seed: 5 } });
    expect(config.steps).toBe(RECIPES.smoke!.config.steps);
    expect(config).toMatchObject({ batchSize: 3, warmup: 8, seed: 5, lossWeights: { giou: 2, l1: 1 } });
    expect(config.lr).toBe(defaultConfig().lr);
  });

  it('refuses keys that contradict each other', () => {
    const check = (config: Partial<RunConfig>) => () => checkTogether(mergeConfig(config));
    expect(check({ resume: 'a', load: 'b' })).toThrow('resume and load exclude each other');
    expect(check({ schedule: 'step' })).toThrow('needs lrDropEvery');
    expect(check({ schedule: 'multi_step' })).toThrow('needs lrMilestones');
    expect(check({ mix: { scenes: 0 } })).toThrow('at least one dataset');
    expect(check({})).not.toThrow();
  });

  it('lets steps given later undo epochs given earlier', () => {
    expect(mergeConfig({ epochs: 3 }, { steps: 10 })).toMatchObject({ steps: 10, epochs: null });
    expect(mergeConfig({ steps: 10 }, { epochs: 3 })).toMatchObject({ epochs: 3 });
  });

  it('merges overrides of the model key by key, whether nested or dotted', () => {
    const recipe = { modelOverrides: { transformer: { queries: 60, points: 4 } } };
    const { modelOverrides } = mergeConfig(recipe, { modelOverrides: { 'transformer.queries': 80 } });
    expect(modelOverrides).toEqual({ transformer: { queries: 80, points: 4 } });
  });

  it('suggests the recipe that was meant', () => {
    expect(() => recipe('smok')).toThrow('unknown recipe "smok", did you mean "smoke"?');
    expect(() => recipe('toString')).toThrow('unknown recipe');
  });
});

describe('what is derived from the schema', () => {
  it('is a JSON Schema that takes what the library takes', () => {
    const check = new Ajv({ strictTypes: false }).compile(toJsonSchema());
    expect(check(defaultConfig())).toBe(true);
    for (const { config } of Object.values(RECIPES)) expect(check(config)).toBe(true);
    for (const wrong of [{ lr: 0 }, { batchsize: 1 }, { mix: { a: -1 } }, { steps: 1.5 }, { model: null }]) {
      expect([wrong, check(wrong)]).toEqual([wrong, false]);
    }
  });

  it('is a table with a row for every key', () => {
    const table = configTables();
    for (const key of CONFIG_KEYS) expect(table).toContain(`| \`${key}\` | \`--${flagName(key)}\` |`);
  });

  it('has defaults and recipes that fit the schema', () => {
    expect(mergeConfig(parseConfig(configToYaml(defaultConfig()), 'defaults'))).toEqual(defaultConfig());
    for (const { config } of Object.values(RECIPES)) mergeConfig(parseConfig(configToYaml(config), 'recipe'));
  });
});
