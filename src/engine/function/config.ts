// SPDX-License-Identifier: Apache-2.0

/** Fields of `graph_options.rewrite_options` (tensorflow/core/protobuf/rewriter_config.proto) as number and value. */
const REWRITES = [
  [12, 1], // meta_optimizer_iterations ONE: a second pass found next to nothing in our models
  [4, 1], // memory_optimization NO_MEM_OPT: a third of the time of all of them, for nothing on a CPU
] as const;

/**
 * How TensorFlow optimises functions before their first run: a serialized tensorflow.ConfigProto. Constant folding, fusion,
 * pruning and whatever else is on by default run once.
 */
export const FUNCTION_CONFIG: Uint8Array = Uint8Array.from(
  message(
    10,
    message(
      10,
      REWRITES.flatMap(([field, value]) => [field << 3, value]),
    ),
  ),
);

/** A field that holds a (short) message. */
function message(field: number, contents: number[]): number[] {
  return [(field << 3) | 2, contents.length, ...contents];
}
