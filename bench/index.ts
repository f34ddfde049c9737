// SPDX-License-Identifier: Apache-2.0
// All timings, or those named: `npm run bench [-- model ms_deform_attn fused_ops]`.
const BENCHES: Readonly<Record<string, () => Promise<unknown>>> = {
  ms_deform_attn: () => import('./ms_deform_attn.js'),
  fused_ops: () => import('./fused_ops.js'),
  model: () => import('./model.js'),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  for (const name of wanted.length > 0 ? wanted : Object.keys(BENCHES)) await BENCHES[name]!();
}
