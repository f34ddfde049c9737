// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import {
  isFloat32,
  isForward,
  parsePtxas,
  resourceTable,
  shortName,
  spills,
} from '../../tools/native/ptxas.js';

const LOG = `ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'forward' for 'sm_90'
ptxas info    : Function properties for forward
    24 bytes stack frame, 20 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 80 registers, used 1 barriers, 24 bytes cumulative stack size, 1024 bytes smem
ptxas info    : Function properties for helper
    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Compile time = 31 ms
ptxas info    : Compiling entry function 'forward' for 'sm_120'
ptxas info    : Function properties for forward
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 56 registers, used 0 barriers
`;

describe('what ptxas says of kernels', () => {
  it('is read for each kernel and architecture, without the functions between', () => {
    const [first, second, ...others] = parsePtxas(LOG);
    expect(first).toEqual({
      kernel: 'forward',
      architecture: 'sm_90',
      registers: 80,
      sharedBytes: 1024,
      spillStoreBytes: 20,
      spillLoadBytes: 16,
    });
    expect(second).toMatchObject({ architecture: 'sm_120', registers: 56, sharedBytes: 0 });
    expect([spills(first!), spills(second!)]).toEqual([true, false]);
    expect(others).toEqual([]);
    expect(parsePtxas('nvcc warning : nothing to do')).toEqual([]);
  });

  it('becomes a table with a column for each architecture', () => {
    expect(resourceTable(parsePtxas(LOG)).split('\n')).toEqual([
      '| kernel | sm_90 | sm_120 |',
      '|---|---|---|',
      '| `forward` | 80, 1024 shared, **spills 20 + 16** | 56 |',
    ]);
  });

  it('names kernels by their templates, and knows which must not spill', () => {
    const name = shortName(
      'void tfgeo::cuda::(anonymous namespace)::ForwardKernel<float, 4, 8, true>(tfgeo::cuda::Problem, float const*)',
    );
    expect(name).toBe('ForwardKernel<float, 4, 8, true>');
    const one = { ...parsePtxas(LOG)[0]!, kernel: name };
    expect([isFloat32(one), isForward(one)]).toEqual([true, true]);
    const other = { ...one, kernel: 'BackwardKernel<__half, 8, float>' };
    expect([isFloat32(other), isForward(other)]).toEqual([false, false]);
  });
});
