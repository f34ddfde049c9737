// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { FUNCTION_CONFIG } from './function/config.js';
import { signatureOf } from './function/structure.js';
import { trace } from './function/trace.js';
import type { NodeBackend } from './kernels.js';
import { type NodeRun, readNodeRuns } from './profile/step_stats.js';
import { TENSORFLOW_BACKEND } from './tensorflow_engine.js';

/**
 * A node of the graph after TensorFlow has optimised it. Its time is the least of all runs, so that what else the machine does
 * counts little.
 */
export interface NodeProfile {
  name: string;
  /** What was given to `inScope` where the node was made, `backward/` before it for gradients; empty if nothing. */
  scope: string;
  op: string;
  milliseconds: number;
  /** How often it ran. */
  calls: number;
  /** Of its first output. */
  shape: number[] | null;
}

/** What one call of a function spends its time on. */
export interface Profile {
  /** Milliseconds of a call: the least of the runs without statistics. */
  wall: number;
  /** Nodes as they were traced. */
  tracedNodes: number;
  /** Nodes that run, costliest first. */
  nodes: NodeProfile[];
}

export interface ProfileOptions {
  name?: string;
  /** Variables are constants, as in `compile`. */
  frozen?: boolean;
  /** Runs that are measured plain, and as many with statistics; default 5. */
  runs?: number;
}

/**
 * Traces `fn` as `compile` does and runs its graph with TensorFlow's own statistics of every node.
 * @throws UserError if the engine is not `tensorflow`, or `fn` cannot be traced
 */
export function profileFunction<A extends unknown[]>(
  fn: (...args: A) => unknown,
  args: A,
  options: ProfileOptions = {},
): Profile {
  const { name = fn.name || 'function', frozen = false, runs = 5 } = options;
  if (tf.getBackend() !== TENSORFLOW_BACKEND) {
    throw new UserError(
      `${name}: profiles are taken by engine 'tensorflow', and this is '${tf.getBackend()}'`,
      EXIT_CODES.engine,
    );
  }
  const backend = tf.backend() as NodeBackend;
  const { binding } = backend;
  const traced = trace(backend, name, fn as (...args: never[]) => unknown, args, {
    frozen,
    mostConstantBytes: Number.POSITIVE_INFINITY,
    withGraph: true,
    scopes: true,
  });
  binding.deleteFunction(traced.id);
  const { milliseconds, metadata } = binding.profileGraph(
    traced.graph,
    FUNCTION_CONFIG,
    traced.inputNames,
    backend.getInputTensorIds([...signatureOf(args).tensors, ...traced.reads]),
    traced.outputNames,
    runs,
  );
  return {
    wall: Math.min(...milliseconds),
    tracedNodes: traced.nodes,
    nodes: joinRuns(metadata.map(readNodeRuns)),
  };
}

/** The least of all runs for each node, costliest node first. */
function joinRuns(runs: readonly NodeRun[][]): NodeProfile[] {
  const least = new Map<string, NodeProfile>();
  for (const node of runs.flatMap(sumCalls)) {
    const known = least.get(node.name);
    if (!known || node.milliseconds < known.milliseconds) least.set(node.name, node);
  }
  return [...least.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

/** One entry a node, however often it ran. */
function sumCalls(run: readonly NodeRun[]): NodeProfile[] {
  const nodes = new Map<string, NodeProfile>();
  for (const { name, op, milliseconds, shape } of run) {
    const node = nodes.get(name) ?? { name, scope: scopeOf(name), op, milliseconds: 0, calls: 0, shape };
    node.milliseconds += milliseconds;
    node.calls++;
    nodes.set(name, node);
  }
  return [...nodes.values()];
}

/** What stands before the last part of a node's name. */
function scopeOf(name: string): string {
  const end = name.lastIndexOf('/');
  return end < 0 ? '' : name.slice(0, end);
}

/** Time of several nodes together. */
export interface ProfileRow {
  name: string;
  calls: number;
  milliseconds: number;
  /** Part of the time of all nodes, in [0, 1]. */
  share: number;
}

/** Time of all nodes with the same key, the costliest first. */
export function sumProfile({ nodes }: Profile, key: (node: NodeProfile) => string): ProfileRow[] {
  const total = nodes.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const rows = new Map<string, ProfileRow>();
  for (const node of nodes) {
    const name = key(node);
    const row = rows.get(name) ?? { name, calls: 0, milliseconds: 0, share: 0 };
    row.calls += node.calls;
    row.milliseconds += node.milliseconds;
    rows.set(name, row);
  }
  for (const row of rows.values()) row.share = total > 0 ? row.milliseconds / total : 0;
  return [...rows.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}
