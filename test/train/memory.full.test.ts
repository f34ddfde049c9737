// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { defaultConfig } from '../../src/train/config.js';
import { buildGroundingTask } from '../../src/train/grounding/build_task.js';
import { readRecords } from '../../src/train/log.js';
import { runTraining } from '../../src/train/run.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo-memory-'));
const STEPS = 2000;

beforeAll(async () => {
  await ready();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

describe('training mdetr-g-tiny', () => {
  it(`holds tensors and memory over ${STEPS} steps`, async () => {
    const config = {
      ...defaultConfig(),
      ...{ out: join(folder, 'run'), steps: STEPS, batchSize: 1, imageSize: 64, logEvery: 10 },
      ...{ evalEvery: 0, evalLimit: 1, checkpointEvery: 0, sampleEvery: 0, tensorboard: false },
    };
    const { run } = await runTraining(config, {
      makeTask: buildGroundingTask,
      // At every line that is logged: what nobody holds would come and go by the hundred MiB, and hide what is held.
      output: {
        write: () => {
          collectGarbage();
          return true;
        },
      },
      signals: false,
    });
    const records = readRecords(run).flatMap((record) => (record.kind === 'train' ? [record] : []));
    // The last step has no next batch waiting.
    const settled = records.filter(({ step }) => step > 100 && step < STEPS);
    expect(settled.length).toBeGreaterThan(150);
    expect(new Set(settled.map(({ tensors }) => tensors)).size).toBe(1);
    const between = (from: number, to: number) =>
      median(settled.flatMap(({ step, memoryMiB }) => (step > from && step <= to ? [memoryMiB] : [])));
    const [early, late] = [between(400, 1000), between(1400, STEPS)];
    expect(late).toBeLessThan(early * 1.05);
  });
});
