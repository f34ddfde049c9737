// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { opAttr, runOp, type TfDtypeName } from '../engine/index.js';
import { attr, type GraphBuilder } from './graph_builder.js';
import type { SaverDef } from './tensorflow_messages.js';

/** A value that is kept in the checkpoint of a SavedModel. */
export interface SavedVariable {
  /** Its name in graph and checkpoint, dots allowed. */
  name: string;
  value: tf.Tensor;
}

/** Where a variable stands in the graph. */
export interface VariableNodes {
  handle: string;
  /** The node with its value. */
  read: string;
}

/**
 * Adds a variable to a graph.
 * @param scope what keeps it apart from variables of other models in one process
 */
export function addVariable(
  graph: GraphBuilder,
  scope: string,
  { name, value }: SavedVariable,
): VariableNodes {
  const dtype = value.dtype as TfDtypeName;
  const handle = graph.add('VarHandleOp', name, [], {
    dtype: attr.type(dtype),
    shape: attr.shape(value.shape),
    shared_name: attr.text(`${scope}/${name}`),
  });
  const read = graph.add('ReadVariableOp', `${name}/Read`, [handle], { dtype: attr.type(dtype) });
  return { handle, read };
}

/**
 * Adds what saves and restores variables: TensorFlow's `Saver` in its present format, which is what TensorFlow Serving
 * and `tf.saved_model.load` run to fill the variables of a graph.
 */
export function addSaver(
  graph: GraphBuilder,
  variables: readonly SavedVariable[],
  nodes: readonly VariableNodes[],
): SaverDef {
  const dtypes = attr.types(variables.map(({ value }) => value.dtype as TfDtypeName));
  const fallback = graph.text('save/filename/input', 'model');
  const filename = graph.add('PlaceholderWithDefault', 'save/filename', [fallback], {
    dtype: attr.type('string'),
    shape: attr.shape([]),
  });
  const names = graph.text(
    'save/tensor_names',
    variables.map(({ name }) => name),
  );
  const slices = graph.text(
    'save/shape_and_slices',
    variables.map(() => ''),
  );
  const reads = nodes.map(({ read }) => read);
  const save = graph.add('SaveV2', 'save/SaveV2', [filename, names, slices, ...reads], { dtypes });
  const saved = graph.add('Identity', 'save/control_dependency', [filename, `^${save}`], {
    T: attr.type('string'),
  });
  const restore = graph.add('RestoreV2', 'save/RestoreV2', [filename, names, slices], { dtypes });
  const assigns = nodes.map(({ handle }, i) =>
    graph.add('AssignVariableOp', `save/Assign_${i}`, [handle, `${restore}:${i}`], {
      dtype: attr.type(variables[i]!.value.dtype as TfDtypeName),
    }),
  );
  const all = graph.add(
    'NoOp',
    'save/restore_all',
    assigns.map((assign) => `^${assign}`),
  );
  return {
    filenameTensorName: `${filename}:0`,
    saveTensorName: `${saved}:0`,
    restoreOpName: all,
    version: 2,
  };
}

/**
 * Writes values in TensorFlow's checkpoint format: `PREFIX.index` and `PREFIX.data-00000-of-00001`. Engine `tensorflow`
 * must be ready.
 */
export function writeCheckpoint(prefix: string, variables: readonly SavedVariable[]): void {
  tf.tidy(() => {
    const names = variables.map(({ name }) => name);
    const slices = names.map(() => '');
    const inputs = [
      tf.scalar(prefix, 'string'),
      tf.tensor1d(names, 'string'),
      tf.tensor1d(slices, 'string'),
      ...variables.map(({ value }) => value),
    ];
    const dtypes = variables.map(({ value }) => value.dtype as TfDtypeName);
    runOp('SaveV2', [opAttr.type('dtypes', dtypes)], inputs, 0);
  });
}
