// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { answersText, type ModelConfig, PRESETS } from '../../src/models/config.js';
import { convertCheckpoint } from '../../src/models/published/index.js';
import { stirred } from '../../tools/stir.js';
import { SMALL_DETECTORS } from '../models/small_config.js';
import { writeUntrained } from '../untrained_model.js';
import { runCommand } from './run_command.js';

// `detect --model` with every detector there is, under its own names and as published.

let root = '';
let image = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'detect-models-'));
  await runCommand('scenes', at('made'), '--count', '1', '--size', '96');
  image = at('made/images/000000.png');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);
const FOUND = /^(\d\.\d{3} {2}.* {2}\[[-\d., ]+\]\n)*\d+ found for ".+"\n$/;

/** What a detector is asked with, and what it is not. */
function questions(config: ModelConfig): [right: string[], wrong: string[], message: string] {
  const [prompt, classes] = [
    ['--prompt', 'white ship'],
    ['--classes', 'all'],
  ] as [string[], string[]];
  return answersText(config)
    ? [prompt, classes, 'answers sentences: give --prompt instead of --classes']
    : [classes, prompt, 'knows a list of classes: give --classes instead of --prompt'];
}

function detect(model: string, question: readonly string[], ...more: string[]) {
  return runCommand('detect', image, '--model', model, ...question, '--threshold', '0', ...more);
}

describe.each(SMALL_DETECTORS)('detect --model with %s', (name, config) => {
  const [right, wrong, message] = questions(config);
  beforeAll(() => writeUntrained(at(name), config, 3, stirred));

  it('finds what it is asked for, the same under the names of others, and says with what it is to be asked', async () => {
    const found = await detect(at(name), right);
    expect(found).toMatchObject({ code: EXIT_CODES.ok, err: '' });
    expect(found.out).toMatch(FOUND);
    expect(found.out.split('\n').length).toBeGreaterThan(3);
    const other = at(`${name} elsewhere`);
    const names = config.model_type === 'mdetr-g' ? 'tfgeo' : 'original';
    await convertCheckpoint(at(name), other, { names });
    expect((await detect(other, right)).out).toBe(found.out);
    const refused = await detect(at(name), wrong);
    expect(refused).toMatchObject({ code: EXIT_CODES.usage, out: '' });
    expect(refused.err).toBe(`tfgeo-train: ${at(name)} ${message}\n`);
  });
});

describe('detect --model', () => {
  it('names the class that a model does not know', async () => {
    const refused = await detect(at('deformable-detr'), ['--classes', 'ship,plan']);
    expect(refused).toMatchObject({ code: EXIT_CODES.usage, out: '' });
    expect(refused.err).toMatch(/knows no class "plan". Did you mean "plane"\?/);
  });

  it('must be asked for something', async () => {
    const nothing = await detect(at('deformable-detr'), []);
    expect(nothing).toMatchObject({ code: EXIT_CODES.usage, out: '' });
    expect(nothing.err).toMatch(/^tfgeo-train: --prompt must be given, or --classes/);
  });

  it('is tried with every type of detector there is', () => {
    const types = new Set(SMALL_DETECTORS.map(([, { model_type }]) => model_type));
    for (const { model_type } of Object.values(PRESETS)) expect(types).toContain(model_type);
  });
});
