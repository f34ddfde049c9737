// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Before the first test: gets and compiles what the engine needs, once, so that no test has to wait for it. */
export default function globalSetup() {
  const tool = fileURLToPath(new URL('../tools/setup.ts', import.meta.url));
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', tool, '--quiet'], { stdio: 'inherit' });
  if (status !== 0) throw new Error('setting up the engine failed; see above');
}
