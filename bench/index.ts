// SPDX-License-Identifier: Apache-2.0
/**
 * All timings but the long ones, or those named:
 * `npm run bench [-- model compiled detectors models ms_deform_attn fused_ops memory profile serve time_to_accuracy]`.
 *
 *   --no-peer      ours alone, without other people's implementations beside it
 *   --threads N    threads of each side (2)
 *   --rounds N     how often each measurement is repeated (7)
 *   --only TEXT    cases with TEXT in their name; results are then printed, not written
 *   --anyway       writes results although the machine is busy
 */
import { UserError } from '../src/errors.js';
import { benchOptions } from './options.js';

const BENCHES: Readonly<Record<string, () => Promise<unknown>>> = {
  ms_deform_attn: () => import('./ms_deform_attn.js'),
  fused_ops: () => import('./fused_ops.js'),
  compiled: () => import('./compiled.js'),
  detectors: () => import('./detectors.js'),
  models: () => import('./models.js'),
  model: () => import('./model.js'),
  memory: () => import('./memory.js'),
  profile: () => import('./profile.js'),
  serve: () => import('./serve.js'),
  time_to_accuracy: () => import('./time_to_accuracy.js'),
};
/** Run only when named: it trains for a quarter of an hour or more. */
const LONG = ['time_to_accuracy'];

try {
  const { names } = benchOptions();
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0)
    throw new UserError(`unknown: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  const usual = Object.keys(BENCHES).filter((name) => !LONG.includes(name));
  for (const name of names.length > 0 ? names : usual) await BENCHES[name]!();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`tfgeo: ${error.message}`);
  process.exitCode = error.exitCode;
}
