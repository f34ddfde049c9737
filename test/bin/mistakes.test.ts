// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { writeUntrainedModel } from '../untrained_model.js';
import { runCommand } from './run_command.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo-bin-'));
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await ready();
  const grey = { width: 96, height: 64, channels: 3, background: '#707070' } as const;
  const png = await sharp({ create: grey }).png().toBuffer();
  writeFileSync(at('plain.png'), png);
  writeFileSync(at('cut.png'), png.subarray(0, png.length / 2));
  writeFileSync(at('text.png'), 'no picture');
  writeFileSync(at('empty.tif'), '');
  writeUntrainedModel(at('model'));
  for (const name of ['empty', 'short', 'headless', 'no-config', 'other-shape']) {
    cpSync(at('model'), at(name), { recursive: true });
  }
  const weights = readFileSync(at('model/model.safetensors'));
  writeFileSync(at('empty/model.safetensors'), '');
  writeFileSync(at('short/model.safetensors'), weights.subarray(0, weights.length * 0.6));
  writeFileSync(at('headless/model.safetensors'), weights.subarray(0, 4));
  rmSync(at('no-config/config.json'));
  const config = JSON.parse(readFileSync(at('other-shape/config.json'), 'utf8'));
  config.transformer.ffn = 512;
  writeFileSync(at('other-shape/config.json'), JSON.stringify(config));
  writeFileSync(at('unknown-key.yaml'), 'steps: 5\nlearningrate: 3\nlrGama: 0.5\n');
  writeFileSync(at('bad-value.yaml'), 'steps: 5\nbatchSize: many\n');
  writeFileSync(at('not-yaml.yaml'), 'steps: [5\n');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { usage, data, checkpoint } = EXIT_CODES;
const picture = at('plain.png');
const out = at('out.geojson');
const detectWith = (...rest: string[]) => ['detect', picture, '--prompt', 'white boats', ...rest];
const long = 'the red boat and '.repeat(40);

/** Mistake, what is typed, exit code, what the line must say. */
const MISTAKES: readonly [string, string[], number, RegExp][] = [
  ['no command', [], usage, /say what to do/],
  ['misspelt command', ['detct'], usage, /did you mean "detect"/],
  ['unknown command', ['fly'], usage, /known are train, eval, detect/],
  ['flags before the command', ['--steps', '3', 'train'], usage, /comes before its flags/],
  ['misspelt flag', detectWith('--treshold', '0.5'), usage, /--treshold, did you mean --threshold/],
  ['misspelt required flag', ['detect', picture, '--promt', 'a'], usage, /did you mean --prompt/],
  ['misspelt negated flag', ['train', '--no-agment'], usage, /did you mean --augment/],
  ['unknown flag', ['train', '--learning-rate', '3'], usage, /unknown flag --learning-rate; see/],
  ['word too many', ['train', 'now'], usage, /unexpected word "now"/],
  ['no picture', ['detect'], usage, /detect <image>/],
  ['no prompt', ['detect', picture], usage, /--prompt must be given/],
  ['flag without value', detectWith('--tile'), usage, /--tile needs a value/],
  ['no number', detectWith('--threshold', 'high'), usage, /from 0 to 1, but it is "high"/],
  ['number out of range', detectWith('--threshold', '2'), usage, /from 0 to 1, but it is "2"/],
  ['unknown choice', detectWith('--engine', 'gpu'), usage, /one of auto, tensorflow, wasm, cpu/],
  ['bands counted from 0', detectWith('--bands', '0,1,2'), usage, /from 1 up/],
  ['bands that are not there', detectWith('--bands', '7,8,9'), usage, /plain\.png/],
  ['unknown format', detectWith('-o', at('out.gejson')), usage, /did you mean \.geojson/],
  ['overlay that is no PNG', detectWith('--overlay', at('out.jpg')), usage, /ends in \.png/],
  ['no georeference', detectWith('-o', out), data, /plain\.png.*(georeference|geographic|position)/i],
  ['missing picture', ['detect', at('none.png'), '-p', 'a', '-o', at('o.json')], data, /no such file/],
  ['text as picture', ['detect', at('text.png'), '-p', 'a'], data, /text\.png/],
  ['empty picture', ['detect', at('empty.tif'), '-p', 'a'], data, /empty\.tif/],
  ['cut picture', ['detect', at('cut.png'), '-p', 'a', '-m', at('model')], data, /cut\.png/],
  ['folder as picture', ['detect', folder, '-p', 'a'], data, /tfgeo-bin-/],
  ['empty prompt', ['detect', picture, '-p', ''], data, /prompt is empty/],
  ['blank prompt', ['detect', picture, '-p', '  '], data, /prompt is empty/],
  ['long prompt', ['detect', picture, '-p', long, '-m', at('model')], data, /\d+ tokens.*at most \d+/],
  ['missing model', detectWith('-m', at('nowhere')), checkpoint, /nowhere does not exist/],
  ['file as model', detectWith('-m', picture), checkpoint, /is a file/],
  ['empty weights', detectWith('-m', at('empty')), checkpoint, /empty.model\.safetensors/],
  ['truncated weights', detectWith('-m', at('short')), checkpoint, /short.model\.safetensors/],
  ['weights without header', detectWith('-m', at('headless')), checkpoint, /headless.model\.safetensors/],
  ['model without configuration', detectWith('-m', at('no-config')), checkpoint, /config\.json is missing/],
  ['weights of another model', detectWith('-m', at('other-shape')), checkpoint, /\[128, 256\]|shape/],
  ['unknown config key', ['train', '--config', at('unknown-key.yaml')], usage, /yaml:2.*learningrate/],
  ['bad config value', ['train', '--config', at('bad-value.yaml')], usage, /yaml:2.*batchSize/],
  ['broken config', ['train', '--config', at('not-yaml.yaml')], usage, /not-yaml\.yaml:/],
  ['missing config', ['train', '--config', at('none.yaml')], usage, /no such file/],
  ['unknown recipe', ['train', '--recipe', 'smok'], usage, /did you mean "smoke"/],
  ['unknown dataset', ['train', '--data', 'scnes', '--out', at('run')], usage, /did you mean 'scenes'/],
  ['unknown preset', ['train', '--model', 'mdetr', '--out', at('run')], usage, /Did you mean "mdetr-g"/],
  ['nothing to resume', ['train', '--resume', at('model')], usage, /no checkpoint/],
  ['evaluating nothing', ['eval', at('nowhere')], checkpoint, /nowhere does not exist/],
  ['unknown split', ['eval', at('model'), '--split', 'tset'], usage, /did you mean 'test'/],
  ['no scenes', ['scenes', at('made'), '--count', '0'], usage, /from 1 to/],
  ['scenes into a used folder', ['scenes', folder], usage, /tfgeo-bin-/],
];

describe('a mistake', () => {
  it.each(MISTAKES)('%s: one line, its exit code, nothing written', async (_, args, code, words) => {
    const before = readdirSync(folder);
    const result = await runCommand(...args);
    expect(result.err).toMatch(words);
    expect(result).toEqual({ code, out: '', err: expect.stringMatching(/^tfgeo-train: [^\n]+\n$/) });
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('records that are wrong', () => {
  it('are named with their file, and make inspect fail', async () => {
    copyFileSync(picture, at('a.png'));
    const annotation = (id: number, bbox: number[]) => ({ id, image_id: 1, category_id: 1, bbox });
    writeFileSync(
      at('bad.json'),
      JSON.stringify({
        images: [{ id: 1, file_name: 'a.png', width: 96, height: 64 }],
        categories: [{ id: 1, name: 'boat' }],
        annotations: [
          annotation(1, [3, 3, 9, 9]),
          annotation(22, [200, 3, 9, 9]),
          annotation(33, [3, 3, 0, 9]),
        ],
      }),
    );
    const { code, out } = await runCommand('inspect', at('bad.json'));
    expect(out).toMatch(/bad\.json.*22/);
    expect(out).toMatch(/bad\.json.*33/);
    expect(code).toBe(EXIT_CODES.data);
    expect(out).toContain('1 boxes');
  });
});
