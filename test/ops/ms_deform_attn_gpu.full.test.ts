// SPDX-License-Identifier: Apache-2.0
// The GPU kernels' code without a GPU: an op library with them registered for the CPU, and a library of CPU kernels
// where tfgeo_cuda.so would be.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { currentEngine, ready } from '../../src/engine/index.js';
import { packageRoot } from '../../src/package.js';

const folder = mkdtempSync(join(tmpdir(), 'tfgeo gpu-'));
afterAll(() => rmSync(folder, { recursive: true }));
const OPS = join(folder, 'ops.so');
const CUDA = join(folder, 'stand_in.so');

function run(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: packageRoot(),
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  const tensorflow = currentEngine()!.tensorflow!.folder;
  const common = ['-std=c++17', '-O1', '-w', '-fPIC', '-shared', '-fvisibility=hidden', '-I', '.'];
  const stem = 'csrc/tf/ms_deform_attn';
  const sources = [`${stem}_op.cc`, `${stem}_call.cc`, `${stem}_gpu.cc`, 'csrc/tf/cuda_library.cc'];
  const kernels = ['csrc/kernels/ms_deform_attn_check.cc', 'csrc/kernels/isa.cc'];
  const defines = ['-DTFGEO_GPU_DEVICE=tensorflow::DEVICE_CPU', '-DEIGEN_MAX_ALIGN_BYTES=64'];
  const link = [`-L${tensorflow}`, '-l:libtensorflow_framework.so.2', '-ldl'];
  const headers = ['-isystem', join(tensorflow, 'include')];
  const ops = run('g++', [...common, ...defines, ...headers, ...sources, ...kernels, ...link, '-o', OPS]);
  expect(ops).toEqual({ status: 0, said: '' });
  const cpu = ['', '_forward', '_backward'].map((part) => `csrc/kernels/ms_deform_attn${part}.cc`);
  const cuda = ['test/ops/cuda_stand_in.cc', ...kernels, ...cpu];
  expect(run('g++', [...common, ...cuda, '-o', CUDA])).toEqual({ status: 0, said: '' });
});

/** Output and gradient on the native path beside the plain one; prints the largest difference, or the error. */
const SCRIPT = `
const tf = await import('@tensorflow/tfjs');
const { ready } = await import('./src/engine/index.ts');
const { msDeformAttn } = await import('./src/ops/index.ts');
await ready({ engine: 'tensorflow' });
const value = tf.randomNormal([2, 6, 2, 3], 0, 1, 'float32', 1);
const locations = tf.randomUniform([2, 4, 2, 1, 2, 2], 0, 1, 'float32', 2);
const weights = tf.randomUniform([2, 4, 2, 1, 2], 0, 1, 'float32', 3);
const results = (path) => {
  const op = (v, l, w) => msDeformAttn(v, [[2, 3]], l, w, { path });
  return [op(value, locations, weights), ...tf.grads((...args) => op(...args).square())([value, locations, weights])];
};
try {
  const [ours, plain] = ['native', 'plain'].map(results);
  console.log('apart', Math.max(...ours.map((tensor, i) => tensor.sub(plain[i]).abs().max().dataSync()[0])));
} catch (error) {
  console.log(error.message);
}`;

const script = (env: NodeJS.ProcessEnv) =>
  run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', SCRIPT], {
    TFGEO_OP_LIBRARY: OPS,
    ...env,
  });

describe('the GPU kernels of deformable attention', () => {
  it('call the library that TFGEO_CUDA_LIBRARY names', () => {
    const { said } = script({ TFGEO_CUDA_LIBRARY: CUDA });
    expect(said).toMatch(/^apart/);
    expect(Number(said.split(' ')[1])).toBeLessThan(1e-5);
  });

  it.each<[string, NodeJS.ProcessEnv, RegExp]>([
    [
      'there is none beside the op library',
      { TFGEO_CUDA_LIBRARY: '' },
      /need the library .*\/tfgeo_cuda\.so, which cannot be opened .*npx tfgeo-train setup/,
    ],
    [
      'there is none where it should be',
      { TFGEO_CUDA_LIBRARY: '/nowhere/a.so' },
      /need the library \/nowhere\/a\.so, which/,
    ],
    [
      'the library is another one',
      { TFGEO_CUDA_LIBRARY: OPS },
      /ops\.so is not this version's library of GPU kernels.*setup/,
    ],
    [
      'it has no code for the card',
      { TFGEO_CUDA_LIBRARY: CUDA, TFGEO_TEST_NO_CODE: '1' },
      /: no code for sm_75 among the CPU$/m,
    ],
    ['a launch fails', { TFGEO_CUDA_LIBRARY: CUDA, TFGEO_TEST_FAIL: '1' }, /: the launch failed$/m],
    [
      'ops must be deterministic',
      { TFGEO_CUDA_LIBRARY: CUDA, TF_DETERMINISTIC_OPS: '1' },
      /\[TfgeoMsDeformAttnGrad\] has no deterministic kernel for the GPU/,
    ],
  ])('say so where %s', (_, env, sentence) => {
    const { status, said } = script(env);
    expect([status, said]).toEqual([0, expect.stringMatching(sentence)]);
  });
});
