// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import * as tf from '@tensorflow/tfjs';
import { currentEngine } from '../engine/index.js';
import { packageVersion } from '../package.js';

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
