// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { NativeBinding } from '../binding.js';

/** Scope of gradients, before that of what they are gradients of. */
export const BACKWARD = 'backward';

interface TapeNode {
  gradient?: (dys: tf.Tensor[]) => Record<string, () => tf.Tensor>;
}

/** What is hooked of TensorFlow.js's engine. */
interface Recording {
  addTapeNode(...args: unknown[]): void;
  state: { activeTape: TapeNode[] };
}

let active: ScopeTracker | null = null;

/**
 * Runs `fn`; where a function is traced for a profile, the nodes it makes bear `scope` before their names, and those of its
 * gradients `backward` and `scope`. The innermost scope counts.
 * @param scope letters, digits, dots and underscores
 */
export function inScope<T>(scope: string, fn: () => T): T {
  return active === null ? fn() : active.run(scope, fn);
}

/** Puts scopes before the names of nodes while a function is traced. */
export class ScopeTracker {
  private readonly stack: string[] = [''];
  private readonly release: () => void;

  constructor(private readonly binding: NativeBinding) {
    active = this;
    this.release = this.watchTape();
  }

  run<T>(scope: string, fn: () => T): T {
    this.stack.push(scope);
    this.binding.traceScope(scope);
    try {
      return fn();
    } finally {
      this.stack.pop();
      this.binding.traceScope(this.stack.at(-1)!);
    }
  }

  end(): void {
    active = null;
    this.release();
  }

  /** Gradients run in the scope of what they are gradients of; returns what ends that. */
  private watchTape(): () => void {
    const engine = tf.engine() as unknown as Recording;
    const { addTapeNode } = engine;
    engine.addTapeNode = (...args) => {
      addTapeNode.apply(engine, args);
      const node = engine.state.activeTape.at(-1);
      const gradient = node?.gradient;
      const scope = this.stack.at(-1)!;
      if (!node || !gradient || scope.startsWith(BACKWARD)) return;
      const own = scope === '' ? BACKWARD : `${BACKWARD}/${scope}`;
      node.gradient = (dys) => {
        const thunks = this.run(own, () => gradient(dys));
        return Object.fromEntries(
          Object.entries(thunks).map(([name, thunk]) => [name, () => this.run(own, thunk)]),
        );
      };
    };
    return () => {
      engine.addTapeNode = addTapeNode;
    };
  }
}
