// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { COMMANDS } from '../../bin/commands/index.js';
import { ready } from '../../src/engine/index.js';
import { CONFIG_KEYS, flagName, parseConfig } from '../../src/train/config.js';
import { smallDetrConfig } from '../models/small_config.js';
import { writeUntrainedDetector, writeUntrainedModel } from '../untrained_model.js';
import { runCommand } from './run_command.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo-bin-'));
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await ready();
  writeUntrainedModel(at('model'));
  const labels = ['ship', 'plane', 'helicopter', 'tank', 'car', 'truck', 'building', 'container'];
  writeUntrainedDetector(at('classes'), { ...smallDetrConfig('two-stage'), labels });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('help', () => {
  it('lists every command', async () => {
    const { out, code } = await runCommand('--help');
    expect(code).toBe(0);
    for (const { name, about } of COMMANDS) {
      expect(out).toContain(`tfgeo-train ${name}`);
      expect(out.replace(/\s+/g, ' ')).toContain(about);
    }
  });

  it.each(COMMANDS)('of $name lists its flags and runs nothing', async ({ name, load }) => {
    const { out, err, code } = await runCommand(name, '--help');
    expect({ err, code }).toEqual({ err: '', code: 0 });
    for (const flag of Object.keys((await load()).options)) expect(out).toContain(`--${flag}`);
  });

  it('of train has a flag for every configuration key', async () => {
    const { out } = await runCommand('train', '--help');
    for (const key of CONFIG_KEYS) expect(out).toContain(`--${flagName(key)} `);
  });
});

describe('train --print-config', () => {
  it('prints what file and flags make of the defaults, as a file that is read back', async () => {
    const { out, code } = await runCommand('train', '--print-config', '--steps', '7', '--no-augment');
    expect(code).toBe(0);
    expect(parseConfig(out, 'printed')).toMatchObject({ steps: 7, augment: false, batchSize: 8 });
  });
});

describe('profile', () => {
  it('prints what ops, modules and nodes cost, and writes every node', async () => {
    const flags = ['--size', '64', '--runs', '1', '--top', '3', '--json', at('profile.json')];
    const { out, code } = await runCommand('profile', at('model'), ...flags);
    expect(code).toBe(0);
    for (const title of ['op', 'module', 'node'])
      expect(out).toMatch(new RegExp(`^${title} +calls +ms +%$`, 'm'));
    expect(out.split('\n').filter((line) => /\d\.\d$/.test(line))).toHaveLength(9);
    const { nodes } = JSON.parse(readFileSync(at('profile.json'), 'utf8'));
    expect(nodes.length).toBeGreaterThan(100);
  });
});

describe('scenes, then detect and eval', () => {
  it('writes scenes, finds things in one and writes where they are', async () => {
    const made = await runCommand('scenes', at('made'), '--count', '2', '--size', '96');
    expect(made).toMatchObject({ code: 0, err: '' });
    const image = at('made/images/000000.png');
    const args = ['-p', 'ships and planes', '-m', at('model'), '--threshold', '0', '--scale', '0.5'];
    const { out, code } = await runCommand(
      'detect',
      image,
      ...args,
      '-o',
      at('o.json'),
      '--overlay',
      at('o.png'),
    );
    expect(code).toBe(0);
    const { images, annotations } = JSON.parse(readFileSync(at('o.json'), 'utf8'));
    expect(images[0]).toMatchObject({ width: 96, height: 96, caption: 'ships and planes' });
    expect(annotations.length).toBeGreaterThan(0);
    expect(out).toContain(`${annotations.length} found for "ships and planes"`);
    expect((await sharp(at('o.png')).metadata()).width).toBeGreaterThanOrEqual(96);
  });

  it('prints both figures and the forms, and writes them', async () => {
    const args = ['--data', 'scenes', '--limit', '3', '--json', at('figures.json')];
    const { out, code } = await runCommand('eval', at('model'), ...args);
    expect(code).toBe(0);
    expect(out).toMatch(/AP50 .*\n.*form/);
    expect(out).toMatch(/with another picture's sentence: AP \d/);
    const { figures, swapped } = JSON.parse(readFileSync(at('figures.json'), 'utf8'));
    expect(Object.keys(figures.byForm).length).toBeGreaterThan(0);
    expect(swapped).toHaveProperty('AP50');
  });
});

describe('a detector of classes', () => {
  const image = at('made/images/000000.png');

  it('is asked with its classes', async () => {
    const args = ['-m', at('classes'), '--classes', 'ship,car', '--threshold', '0', '-o', at('classes.json')];
    const { out, code } = await runCommand('detect', image, ...args);
    expect(code).toBe(0);
    const { categories, annotations } = JSON.parse(readFileSync(at('classes.json'), 'utf8'));
    expect(annotations.length).toBeGreaterThan(0);
    for (const { name } of categories) expect(['ship', 'car']).toContain(name);
    expect(out).toContain(`${annotations.length} found for "ship, car"`);
  });

  it('is evaluated by class', async () => {
    const args = ['--data', 'scenes', '--limit', '2', '--json', at('classes-figures.json')];
    const { out, code } = await runCommand('eval', at('classes'), ...args);
    expect(code).toBe(0);
    expect(out).toMatch(/Average Precision(.|\n)*\nclass +AP +AP50 +AR\nship/);
    const { figures, stats } = JSON.parse(readFileSync(at('classes-figures.json'), 'utf8'));
    expect(figures).toHaveProperty('AP50');
    expect(stats).toHaveLength(12);
  });

  it.each([
    [['--prompt', 'ships'], /knows a list of classes: give --classes instead of --prompt/],
    [['--classes', 'ships'], /knows no class "ships". Did you mean "ship"/],
    [['--classes', 'ship', '--prompt', 'ships'], /--prompt or --classes, not both/],
    [['--classes', 'ship,'], /--classes must be names, e\.g\. ship,plane, but it is "ship,"/],
  ])('refuses %j', async (args, message) => {
    const { err, code } = await runCommand('detect', image, '-m', at('classes'), ...args);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });
});

describe('inspect', () => {
  it('says what is in a dataset', async () => {
    const { out, code } = await runCommand('inspect', 'scenes', '--limit', '4', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ inspected: 4, problems: { errors: [] } });
  });
});

describe('models', () => {
  it('lists sizes and published figures, kind by kind', async () => {
    const args = ['resnet-18', 'mdetr-g-tiny', 'minilm-l6', '--size', '64', '--json', at('models.json')];
    const { out, code } = await runCommand('models', ...args);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^detectors.*\n {2}mdetr-g-tiny +4\.\d M +[\d.]+ GFLOP at 64 +nothing published\nbackbones/,
    );
    expect(out).toMatch(/^ {2}resnet-18 +11\.2 M +0\.29\d GFLOP at 64 +ImageNet 69\.8$/m);
    expect(out).toMatch(/^ {2}minilm-l6 +22\.7 M +[\d.]+ GFLOP for 16 tokens/m);
    expect(JSON.parse(readFileSync(at('models.json'), 'utf8'))).toHaveLength(3);
  });

  it('says what is not in the list', async () => {
    const { err, code } = await runCommand('models', 'resnet-19');
    expect(code).toBe(2);
    expect(err).toMatch(/no preset "resnet-19"\. Did you mean "resnet-18"/);
  });
});
