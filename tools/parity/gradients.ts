// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { Module, ParameterLayout } from '../../src/models/module.js';
import type { NameMap } from '../../src/models/weights/name_map.js';
import { storeTensor } from '../../src/models/weights/state_dict.js';
import type { CaseContext } from './context.js';

export interface GradientOptions {
  /** How the file names parameters; default: as the model does. */
  names?: NameMap;
  /** NHWC inputs by name; the file has them NCHW. */
  maps?: Readonly<Record<string, tf.Variable>>;
  /** Other inputs by name. */
  plain?: Readonly<Record<string, tf.Variable>>;
}

/** What a stored gradient is of: one variable, or several below each other. */
interface Leaf {
  variables: tf.Variable[];
  /** The gradient as the file has it. */
  asStored(gradient: tf.Tensor): { shape: number[]; data: ArrayLike<number> };
}

/** Stored gradients of a model's parameters, and of inputs: `grad/NAME`. */
export function compareGradientsOf(
  context: CaseContext,
  model: Module,
  loss: () => tf.Scalar,
  options: GradientOptions = {},
): void {
  const known = leavesOf(model, options);
  const names = context
    .expected(/^grad\//)
    .map((name) => name.slice('grad/'.length))
    .filter((name) => known.has(name));
  const leaves = names.map((name) => known.get(name)!);
  const gradients = context.gradients(
    leaves.flatMap(({ variables }) => variables),
    loss,
  );
  let at = 0;
  names.forEach((name, i) => {
    const { variables, asStored } = leaves[i]!;
    const parts = variables.map((variable) => gradients[at++] ?? tf.zerosLike(variable));
    context.compare(`grad/${name}`, asStored(parts.length > 1 ? tf.concat(parts, 0) : parts[0]!));
  });
}

function leavesOf(model: Module, { names, maps = {}, plain = {} }: GradientOptions): Map<string, Leaf> {
  const leaves = new Map<string, Leaf>();
  for (const [own, { variable, layout }] of model.namedParameters()) {
    const { name, part } = names?.place(own) ?? { name: own };
    const before = part ? (leaves.get(name)?.variables ?? []) : [];
    before[part?.index ?? 0] = variable;
    leaves.set(name, { variables: before, asStored: stored(layout) });
  }
  for (const [name, variable] of Object.entries(maps)) {
    const asStored = (gradient: tf.Tensor) => stored('same')(tf.transpose(gradient, [0, 3, 1, 2]));
    leaves.set(name, { variables: [variable], asStored });
  }
  for (const [name, variable] of Object.entries(plain)) {
    leaves.set(name, { variables: [variable], asStored: stored('same') });
  }
  return leaves;
}

function stored(layout: ParameterLayout): Leaf['asStored'] {
  return (gradient) => {
    const { shape, data } = storeTensor(gradient, layout);
    return { shape, data: data as Float32Array };
  };
}
