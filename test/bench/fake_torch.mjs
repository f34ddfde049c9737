// SPDX-License-Identifier: Apache-2.0
// Answers like bench/ms_deform_attn_torch.py, in no time and wrongly: all its results are zeros. FAKE_TORCH_FULL=1 leaves
// it no memory.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SHAPES = {
  output: 'upstream',
  grad_value: 'value',
  grad_locations: 'locations',
  grad_weights: 'weights',
};

console.log('ready 0.0.fake');
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument, count] = line.split(' ');
  if (command === 'load' && process.env.FAKE_TORCH_FULL) {
    console.log('error OutOfMemoryError: it is full');
    continue;
  }
  if (command === 'time') {
    console.log(`ok ${Array(Number(count)).fill('0.5').join(' ')}`);
    continue;
  }
  if (command === 'save') {
    for (const [name, like] of Object.entries(SHAPES))
      writeFileSync(
        join(argument, `${name}.f32`),
        new Uint8Array(readFileSync(join(argument, `${like}.f32`)).length),
      );
  }
  console.log('ok');
}
