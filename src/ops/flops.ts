// SPDX-License-Identifier: Apache-2.0
import { type TracedOp, traceOps } from '../engine/index.js';

/** Multiplications with an addition each, that a function does, in all and by operation. */
export interface FlopCount {
  /** Floating-point operations: two for each multiplication with an addition. */
  total: number;
  byOp: ReadonlyMap<string, number>;
}

type Shape = readonly number[];

/** Multiply-adds of one operation. */
type Rule = (inputs: Shape[], outputs: Shape[], attribute: (name: string) => unknown) => number;

const sizeOf = (shape: Shape) => shape.reduce((product, side) => product * side, 1);
/** Values of a filter `[height, width, in, out]` that one output channel reads. */
const window = (filter: Shape) => sizeOf(filter.slice(0, 3));

const product: Rule = ([a], [out], attribute) => {
  const transposed = (attribute('transpose_a') ?? attribute('adj_x')) === true;
  return sizeOf(out!) * a!.at(transposed ? -2 : -1)!;
};

const convolution: Rule = ([, filter], [out]) => sizeOf(out!) * window(filter!);

/** Every sample adds its four corners, weighted, to all channels of a head. */
const samples =
  (value: number, weights: number): Rule =>
  (inputs) =>
    4 * sizeOf(inputs[weights]!) * inputs[value]!.at(-1)!;

/** Scores and mixed values; `times` the products of the forward pass. */
const attention =
  (firstTensor: number, times: number): Rule =>
  (inputs, outputs, attribute) => {
    const query = inputs[firstTensor]!;
    const layout = String(attribute('layout')).split(',');
    const keys = inputs[firstTensor + layout.findIndex((part) => part.includes('k'))]!;
    const channels = query[2]! / layout[0]!.length;
    return outputs.length === 0 ? 0 : times * query[0]! * query[1]! * keys[1]! * channels;
  };

/**
 * The operations that count. All others (sums, norms, activations, softmax, tables, resizing, copies) count as nothing, as in
 * published figures.
 */
const RULES: Readonly<Record<string, Rule>> = {
  MatMul: product,
  _FusedMatMul: product,
  BatchMatMul: product,
  BatchMatMulV2: product,
  Conv2D: convolution,
  _FusedConv2D: convolution,
  Conv2DBackpropInput: ([, filter, upstream]) => sizeOf(upstream!) * window(filter!),
  Conv2DBackpropFilter: ([, , upstream], [filter]) => sizeOf(upstream!) * window(filter!),
  DepthwiseConv2dNative: ([, filter], [out]) => sizeOf(out!) * filter![0]! * filter![1]!,
  DepthwiseConv2dNativeBackpropInput: ([, filter, upstream]) => sizeOf(upstream!) * filter![0]! * filter![1]!,
  DepthwiseConv2dNativeBackpropFilter: ([, , upstream], [filter]) =>
    sizeOf(upstream!) * filter![0]! * filter![1]!,
  TfgeoMsDeformAttn: samples(0, 3),
  TfgeoMsDeformAttnRaw: samples(0, 4),
  TfgeoMsDeformAttnGrad: (inputs, ...rest) => 2 * samples(1, 4)(inputs, ...rest),
  TfgeoMsDeformAttnRawGrad: (inputs, ...rest) => 2 * samples(1, 5)(inputs, ...rest),
  TfgeoAttention: attention(2, 2),
  // Scores once more, and a product each for the gradients of queries, keys, values and weights.
  TfgeoAttentionGrad: attention(5, 5),
};

/** What one operation counts. */
export function flopsOf({ op, attrs, inputs, outputs }: TracedOp): number {
  const rule = RULES[op];
  if (!rule) return 0;
  const attribute = (name: string) => attrs.find((attr) => attr.name === name)?.value;
  return (
    2 *
    rule(
      inputs.map((shape) => shape ?? []),
      outputs.map((shape) => shape),
      attribute,
    )
  );
}

/**
 * Floating-point operations of a function: of products, convolutions, deformable attention and attention, two for each
 * multiplication with an addition. The function is traced and not run. Published figures often count each pair as one.
 * @param args for their types and shapes
 * @throws UserError if the engine is not `tensorflow`, or if `fn` cannot be traced
 */
export function countFlops<A extends unknown[]>(fn: (...args: A) => unknown, args: A): FlopCount {
  const byOp = new Map<string, number>();
  for (const traced of traceOps(fn, args)) {
    const flops = flopsOf(traced);
    if (flops > 0) byOp.set(traced.op, (byOp.get(traced.op) ?? 0) + flops);
  }
  return { total: [...byOp.values()].reduce((sum, flops) => sum + flops, 0), byOp };
}
