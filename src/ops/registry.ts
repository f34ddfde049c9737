// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { currentEngine, hasNativeOps } from '../engine/index.js';
import { argumentError } from './check.js';

/**
 * Which implementation of an op runs: `native` is the TensorFlow op of tfgeo's own library, `plain` its meaning in
 * TensorFlow.js operations. `auto` (default) is native where that exists.
 */
export type OpPath = 'auto' | 'native' | 'plain';

export interface OpOptions {
  path?: OpPath;
}

/** Name of the tfjs backend whose kernels are TensorFlow ops. */
export const NATIVE_BACKEND = 'tensorflow';

/** What an op file exports for registration with TensorFlow.js. Native kernels bear the names of their TensorFlow ops. */
export interface OpRegistration {
  kernels: tf.KernelConfig[];
  gradients: tf.GradConfig[];
  /** There is no kernel for GPUs: where TensorFlow computes on one, `auto` is the plain form, which stays there. */
  cpuOnly?: true;
}

let defaultPath: OpPath = 'auto';

/** Sets what `path: 'auto'` means from now on, for comparing whole models; returns what it meant before. */
export function setDefaultOpPath(path: OpPath): OpPath {
  const before = defaultPath;
  defaultPath = path;
  return before;
}

/**
 * Whether `op` is to run its TensorFlow kernel; registers it if need be.
 * @throws Error for `path: 'native'` without the op library.
 */
export function useNative(op: string, registration: OpRegistration, options: OpOptions = {}): boolean {
  const asked = options.path ?? 'auto';
  const path = asked === 'auto' ? defaultPath : asked;
  if (path === 'plain' || (path === 'auto' && registration.cpuOnly && usesGpu())) return false;
  const names = registration.kernels.map(({ kernelName }) => kernelName);
  const available = tf.getBackend() === NATIVE_BACKEND && hasNativeOps(names);
  if (!available && path === 'native') {
    const lacks = hasNativeOps() ? `whose op library lacks one of ${names.join(', ')}` : 'without op library';
    const backend = tf.getBackend() === NATIVE_BACKEND ? `tensorflow ${lacks}` : tf.getBackend();
    throw argumentError(
      op,
      "engine 'tensorflow' with tfgeo's op library",
      "path 'native'",
      `engine ${backend}`,
    );
  }
  if (available) register(registration);
  return available;
}

function usesGpu(): boolean {
  return currentEngine()?.tensorflow?.usesGpu ?? false;
}

const registered = new WeakSet<OpRegistration>();

/** Registers the kernels and gradients of an op; doing it again changes nothing. */
export function register(registration: OpRegistration): void {
  if (registered.has(registration)) return;
  registered.add(registration);
  for (const kernel of registration.kernels) {
    if (tf.getKernel(kernel.kernelName, kernel.backendName) == null) tf.registerKernel(kernel);
  }
  for (const gradient of registration.gradients) {
    if (tf.getGradient(gradient.kernelName) == null) tf.registerGradient(gradient);
  }
}
