// SPDX-License-Identifier: Apache-2.0
import type { DataId } from '@tensorflow/tfjs';
import type { TfjsBinding } from './binding.js';
import type { NodeBackend } from './kernels.js';

type BackendClass = new (binding: TfjsBinding, packageName: string) => NodeBackend;

/** tfjs-node's backend, which tells whoever traces a function that the value of a symbolic tensor was asked for. */
export function tracingBackend(Base: BackendClass): BackendClass {
  return class TensorFlowBackend extends Base {
    override onSymbolicRead: ((error: Error) => void) | null = null;

    /** Never settles for a symbolic tensor: nobody could catch its failure, which is reported by the trace instead. */
    override async read(dataId: DataId): ReturnType<NodeBackend['read']> {
      try {
        return this.readSync(dataId);
      } catch (error) {
        if (this.onSymbolicRead === null) throw error;
        this.onSymbolicRead(error as Error);
        return new Promise(() => undefined);
      }
    }
  };
}
