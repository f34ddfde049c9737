// SPDX-License-Identifier: Apache-2.0

/**
 * How TensorFlow optimises and runs functions: a serialized tensorflow.ConfigProto with
 * `graph_options { rewrite_options { meta_optimizer_iterations: ONE } }`. All of its optimisers run (constant folding,
 * fusion, pruning, ...), once: a second pass found next to nothing in our models and doubled the time to the first result.
 */
export const FUNCTION_CONFIG: Uint8Array = new Uint8Array([0x52, 4, 0x52, 2, 0x60, 1]);
