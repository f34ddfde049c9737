// SPDX-License-Identifier: Apache-2.0
import { nativeBinding } from '../../src/engine/index.js';

/** Names of the TensorFlow operations that `run` calls for, whether they run or are traced. Engine `tensorflow` is on. */
export async function recordOps(run: () => unknown): Promise<Set<string>> {
  const binding = nativeBinding();
  const { executeOp } = binding;
  const names = new Set<string>();
  binding.executeOp = (name, ...rest) => {
    names.add(name);
    return executeOp.call(binding, name, ...rest);
  };
  try {
    await run();
  } finally {
    binding.executeOp = executeOp;
  }
  return names;
}
