// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { KernelBackend, Tensor, TensorInfo } from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import type { NativeBinding, OpAttr, TensorId, TensorMetadata, TfjsBinding } from './binding.js';
import { packageRoot } from './paths.js';
import { lastLine, runCommand } from './process.js';

/** tfjs-node's backend, as far as tfgeo uses it. */
export interface NodeBackend extends KernelBackend {
  readonly binding: NativeBinding;
  /** Set while a function is traced; called when a symbolic tensor is read asynchronously. */
  onSymbolicRead: ((error: Error) => void) | null;
  getInputTensorIds(tensors: readonly TensorInfo[]): TensorId[];
  createOutputTensor(metadata: TensorMetadata): Tensor;
  executeSingleOutput(name: string, attrs: readonly OpAttr[], inputs: readonly TensorInfo[]): Tensor;
  executeMultipleOutputs(
    name: string,
    attrs: readonly OpAttr[],
    inputs: readonly TensorInfo[],
    outputs: number,
  ): Tensor[];
}

/** What tools/bundle_kernels.mjs exports. */
interface KernelsBundle {
  backend: { NodeJSKernelBackend: new (binding: TfjsBinding, packageName: string) => NodeBackend };
  registerKernels(): void;
}

function bundlePath(): string {
  return join(packageRoot(), 'dist', 'vendor', 'tfjs_node_kernels.cjs');
}

/** Makes sure the bundle is there. In a source checkout it is made when it is missing. */
export async function ensureKernelsBundle(): Promise<void> {
  if (existsSync(bundlePath())) return;
  const tool = join(packageRoot(), 'tools', 'bundle_kernels.mjs');
  const result = await runCommand(process.execPath, [tool]);
  if (result.status !== 0) {
    throw new UserError(
      `dist/vendor is missing and could not be made (${lastLine(result.stderr)})`,
      EXIT_CODES.engine,
    );
  }
}

/** tfjs-node's kernels and backend class. */
export async function loadKernelsBundle(): Promise<KernelsBundle> {
  await ensureKernelsBundle();
  return createRequire(import.meta.url)(bundlePath()) as KernelsBundle;
}
