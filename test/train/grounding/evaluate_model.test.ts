// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../../src/engine/index.js';
import { runCommand } from '../../bin/run_command.js';
import { smallConfig } from '../../models/small_config.js';
import { writeUntrainedModel } from '../../untrained_model.js';

let folder = '';
beforeAll(async () => {
  await ready();
  folder = mkdtempSync(join(tmpdir(), 'evaluate-'));
  writeUntrainedModel(folder, 1, { ...smallConfig('token-sigmoid'), imageSize: 64 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const evaluate = (data: string) => runCommand('eval', folder, '--data', data, '--limit', '2');

describe('eval on words that training does not have', () => {
  it('gives the same pictures in words of training beside them', async () => {
    const { code, out } = await evaluate('scenes-unseen-words');
    expect(code).toBe(0);
    expect(out).toMatch(/with another picture's sentence: /);
    expect(out).toMatch(/^the same in words of training \(scenes-seen-words\): AP \S+ {3}AP50 /m);
  });

  it('does so there alone', async () => {
    const { out } = await evaluate('scenes');
    expect(out).not.toMatch(/words of training/);
  });
});
