// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES } from '../../src/errors.js';
import { writeSafetensors } from '../../src/models/weights/safetensors.js';
import { runCommand } from './run_command.js';

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'bin-weights-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);
const PTH = 'test/fixtures/torch/detr_two_stage.pth';

describe('convert and inspect', () => {
  it('turn a checkpoint into a folder that detect uses, and say what they did', async () => {
    const converted = await runCommand('convert', PTH, at('model'));
    expect(converted).toMatchObject({ code: 0, err: '' });
    expect(converted.out).toContain(
      'Deformable DETR, resnet, two stages, 7 classes: 217 parameters, names of original to tfgeo\n',
    );
    const looked = await runCommand('inspect', at('model'));
    expect(looked).toMatchObject({ code: 0, err: '' });
    expect(looked.out).toMatch(
      /safetensors, 193 tensors, .*\nDeformable DETR, resnet, two stages, 7 classes \(names: Hugging Face\)\n {2}matched: 193\n {2}missing: 0\n/,
    );
    await runCommand('scenes', at('made'), '--count', '1', '--size', '96');
    const image = at('made/images/000000.png');
    const found = await runCommand(
      'detect',
      image,
      '--model',
      at('model'),
      '--classes',
      'all',
      '--threshold',
      '0',
    );
    expect(found).toMatchObject({ code: 0, err: '' });
    // The checkpoint itself serves as well.
    const same = await runCommand('detect', image, '--model', PTH, '--classes', 'all', '--threshold', '0');
    expect(same.out).toBe(found.out);
  });

  it('print a report as JSON, of the entry that is asked for', async () => {
    const { out, code } = await runCommand(
      'inspect',
      'test/fixtures/torch/views_legacy.pth',
      '--json',
      '--key',
      'state_dict',
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      format: 'PyTorch before 1.6',
      key: 'state_dict',
      model: null,
      others: { epoch: '3' },
    });
  });

  it('end with the code for checkpoints when weights cannot be used, in one line', async () => {
    const refused = await runCommand('inspect', 'test/fixtures/torch/runs_code.pth');
    expect(refused.code).toBe(EXIT_CODES.checkpoint);
    expect(refused.err).toMatch(
      /^tfgeo-train: .*runs_code\.pth cannot be read: opcode GLOBAL at byte \d+ asks for posix\.system.*\n$/,
    );
    writeSafetensors(at('half.safetensors'), [
      ['layer1.0.conv1.weight', { shape: [8, 8, 3, 3], data: new Float32Array(576) }],
    ]);
    const half = await runCommand('convert', at('half.safetensors'), at('never'));
    expect(half).toMatchObject({ code: EXIT_CODES.checkpoint, out: '' });
    expect(half.err).toMatch(/tensor conv1\.weight is missing/);
    const names = await runCommand('convert', PTH, at('never'), '--names', 'hugging');
    expect(names.err).toMatch(/there are no names of "hugging" for this model/);
    const key = await runCommand('inspect', 'scenes', '--key', 'model');
    expect(key).toMatchObject({
      code: EXIT_CODES.usage,
      err: 'tfgeo-train: --key is for PyTorch files; scenes is none\n',
    });
    const split = await runCommand('inspect', PTH, '--split', 'test');
    expect(split.err).toMatch(/--split is for datasets; .* holds weights/);
  });
});
