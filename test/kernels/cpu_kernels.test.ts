// SPDX-License-Identifier: Apache-2.0
// The CPU kernels by themselves: the programs of csrc/dev, with every instruction set of this processor.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { checkedKernels, isasOf, provideCheck, runChecks } from '../../tools/native/kernel_programs.js';

const COMPILING = 600_000;

/** Fewer than these would mean that a program has lost checks. */
const LEAST_CHECKS: Readonly<Record<string, number>> = {
  adamw: 15,
  attention: 45,
  gelu: 4,
  layer_norm: 10,
  linear_assignment: 4,
  ms_deform_attn: 550,
  roi_align: 18,
};

it('every operator with CPU kernels has a program', () => {
  expect(checkedKernels()).toEqual(Object.keys(LEAST_CHECKS).sort());
});

describe.each(checkedKernels())('%s', (op) => {
  let program: string;
  beforeAll(async () => {
    program = await provideCheck(op, 'fast');
  }, COMPILING);

  it.each(isasOf(op))('holds with %s, or the processor lacks it', async (isa) => {
    const checked = await runChecks(program, isa);
    if (checked === null) {
      // The least of them is there on every processor.
      expect(isa).not.toBe(isasOf(op)[0]);
      return;
    }
    expect(checked.wrong).toEqual([]);
    expect(checked.right).toBeGreaterThanOrEqual(LEAST_CHECKS[op]!);
  });

  if (isasOf(op).length > 1) {
    it('refuses an instruction set that does not exist', async () => {
      expect(await runChecks(program, 'base')).toBeNull();
    });
  }
});
