#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// What `npx tfgeo-train` starts: the sources in a checkout (so that they need not be built), the built program in the package.
import { existsSync } from 'node:fs';

const source = new URL('tfgeo-train.ts', import.meta.url);
if (existsSync(source)) {
  const { register } = await import('tsx/esm/api');
  register();
  await import(source.href);
} else {
  await import('../dist/bin/tfgeo-train.js');
}
