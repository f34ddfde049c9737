// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { currentEngine } from '../engine/index.js';

/** What a run was made with, for its folder and its checkpoints. */
export function collectVersions(): Record<string, string> {
  const engine = currentEngine();
  const git = gitCommit();
  return {
    tfgeo: packageVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    tfjs: tf.version_core,
    backend: tf.getBackend(),
    ...(engine?.tensorflow ? { tensorflow: engine.tensorflow.version } : {}),
    ...(git ? { git } : {}),
  };
}

/** Version in the nearest package.json above this file (sources and built files lie at different depths). */
function packageVersion(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) return 'unknown';
    folder = parent;
  }
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version?: string };
  return version ?? 'unknown';
}

/** Commit of the working folder, with `+changes` where files differ from it; null outside a repository. */
function gitCommit(): string | null {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5000,
    }).trim();
  try {
    const commit = git('rev-parse', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+changes`;
  } catch {
    return null;
  }
}
