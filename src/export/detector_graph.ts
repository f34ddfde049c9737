// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { type FunctionGraph, type TfDtypeName, traceGraph } from '../engine/index.js';
import type { Exportable, PictureBatch } from '../models/exportable/index.js';
import { type OpPath, setDefaultOpPath } from '../ops/index.js';
import { TRACED_BATCHES } from './batch_rules.js';
import { addDecoding } from './decode_graph.js';
import { attr, GraphBuilder } from './graph_builder.js';
import type { Signature, SignatureTensor } from './saved_model.js';
import type { ExportSettings } from './settings.js';
import type { FunctionDef, Versions } from './tensorflow_messages.js';
import { addBatchSize, inlineFunction } from './traced_function.js';

/** Everything of a SavedModel but its files; `owned` is to be freed once it is written. */
export interface BuiltGraph {
  nodes: GraphBuilder['nodes'];
  functions: FunctionDef[];
  versions?: Versions;
  variables: ReturnType<typeof inlineFunction>['variables'];
  signatures: Record<string, Signature>;
  owned: tf.Tensor[];
}

export function buildGraph(exportable: Exportable, settings: ExportSettings): BuiltGraph {
  const graph = new GraphBuilder();
  const front = addInputs(graph, exportable, settings);
  const batches = settings.batch === 'dynamic' ? TRACED_BATCHES : [settings.batch];
  const traced: Traced[] = [];
  try {
    for (const batch of batches) traced.push(traceAt(exportable, settings, batch));
    return assemble(graph, front, exportable, settings, traced);
  } catch (error) {
    tf.dispose(capturedBy(traced));
    throw error;
  }
}

/** Values that traces hold, theirs to free. */
function capturedBy(traced: readonly Traced[]): tf.Tensor[] {
  return traced.flatMap(({ graph }) => graph.captured.map(({ value }) => value));
}

function assemble(
  graph: GraphBuilder,
  front: Front,
  exportable: Exportable,
  settings: ExportSettings,
  traced: readonly Traced[],
): BuiltGraph {
  const dynamic = settings.batch === 'dynamic';
  const names = new Map(
    [...exportable.module.namedParameters('', true)].map(([name, { variable }]) => [variable, name]),
  );
  const inlined = inlineFunction(
    graph,
    traced.map((trace) => trace.graph),
    {
      prefix: 'model/',
      arguments: front.arguments,
      scope: scopeOf(exportable, settings),
      names,
      batch: dynamic ? addBatchSize(graph, front.arguments[0]!, 'float32') : null,
    },
  );
  const { keys, raw, graph: first } = traced[0]!;
  const outputs = keys.map((key, i): [string, SignatureTensor] => {
    const { dtype, shape } = first.results[i]!;
    const type = dtype as 'float32' | 'int32';
    const node = graph.add('Identity', key, [inlined.results[i]!], { T: attr.type(type) });
    return [key, { tensor: `${node}:0`, dtype: type, shape: [dynamic ? -1 : shape[0]!, ...shape.slice(1)] }];
  });
  return {
    nodes: graph.nodes,
    functions: front.functions,
    ...(inlined.versions ? { versions: inlined.versions } : {}),
    variables: inlined.variables,
    signatures: signaturesOf(front, Object.fromEntries(outputs), raw),
    owned: [...capturedBy(traced), ...inlined.variables.map(({ value }) => value)],
  };
}

/** Inputs of the graph, and the nodes that the traced function takes. */
interface Front {
  inputs: Record<string, SignatureTensor>;
  /** The same with pixels as floats, where there are pixels. */
  floatInputs: Record<string, SignatureTensor> | null;
  arguments: string[];
  functions: FunctionDef[];
}

function addInputs(
  graph: GraphBuilder,
  { inputs: extra }: Exportable,
  { width, height, batch, encoded }: ExportSettings,
): Front {
  const first = batch === 'dynamic' ? -1 : batch;
  const input = (name: string, dtype: TfDtypeName, shape: readonly number[]): SignatureTensor => {
    const whole = [first, ...shape];
    return { tensor: `${graph.placeholder(name, dtype, whole)}:0`, dtype, shape: whole };
  };
  const pictures = encoded ? addFiles(graph, input, width, height) : addPixels(graph, input, width, height);
  const others = Object.fromEntries(extra.map(({ name, dtype, shape }) => [name, input(name, dtype, shape)]));
  return {
    inputs: { ...pictures.inputs, ...others },
    floatInputs: pictures.floatInputs && { ...pictures.floatInputs, ...others },
    arguments: [...pictures.arguments, ...extra.map(({ name }) => name)],
    functions: pictures.functions,
  };
}

type AddInput = (name: string, dtype: TfDtypeName, shape: readonly number[]) => SignatureTensor;

function addFiles(graph: GraphBuilder, input: AddInput, width: number, height: number): Front {
  const inputs = { image_bytes: input('image_bytes', 'string', []) };
  const { pixels, mask, sizes, functions } = addDecoding(graph, 'image_bytes', width, height);
  return { inputs, floatInputs: null, arguments: [pixels, mask, sizes], functions };
}

function addPixels(graph: GraphBuilder, input: AddInput, width: number, height: number): Front {
  const pixels = input('pixels', 'uint8', [height, width, 3]);
  const cast = { SrcT: attr.type('uint8'), DstT: attr.type('float32') };
  const floats = graph.add('Cast', 'pixels_float', ['pixels'], cast);
  const floatInputs = { pixels: { ...pixels, tensor: `${floats}:0`, dtype: 'float32' as const } };
  return { inputs: { pixels }, floatInputs, arguments: [floats], functions: [] };
}

/** @param outputs by name; `raw`: names of those that are predictions of the last layer */
function signaturesOf(
  { inputs, floatInputs }: Front,
  outputs: Readonly<Record<string, SignatureTensor>>,
  raw: ReadonlySet<string>,
): Record<string, Signature> {
  const pick = (wanted: boolean) =>
    Object.fromEntries(Object.entries(outputs).filter(([name]) => raw.has(name) === wanted));
  const detect = pick(false);
  return {
    serving_default: { inputs, outputs: detect },
    detect: { inputs, outputs: detect },
    ...(floatInputs ? { detect_float: { inputs: floatInputs, outputs: detect } } : {}),
    raw: { inputs, outputs: pick(true) },
  };
}

/** The graph from pixels to outputs for one batch size, and the names of its outputs. */
interface Traced {
  graph: FunctionGraph;
  keys: string[];
  raw: Set<string>;
}

function traceAt(exportable: Exportable, settings: ExportSettings, batch: number): Traced {
  const path: OpPath = settings.ops === 'portable' ? 'plain' : 'native';
  const before = setDefaultOpPath(path);
  const args = zeroInputs(exportable, settings, batch);
  let names = { keys: [] as string[], raw: new Set<string>() };
  try {
    const graph = traceGraph(
      (pictures: PictureBatch, extra: Record<string, tf.Tensor>) => {
        const sizes = pictures.sizes ?? tf.tile([[settings.width, settings.height]], [batch, 1]);
        const { raw, detections } = exportable.run({ ...pictures, sizes }, extra);
        const outputs = { ...raw, ...detections };
        names = { keys: Object.keys(outputs), raw: new Set(Object.keys(raw)) };
        return Object.values(outputs);
      },
      args,
      { name: 'export', frozen: true, values: 'beside' },
    );
    return { graph, ...names };
  } finally {
    setDefaultOpPath(before);
    tf.dispose([args[0].pixels, args[0].mask ?? [], args[0].sizes ?? [], args[1]]);
  }
}

/** Arguments to trace with, in the order of the graph's inputs. */
function zeroInputs(
  { inputs }: Exportable,
  { width, height, encoded }: ExportSettings,
  batch: number,
): [PictureBatch, Record<string, tf.Tensor>] {
  const pixels = tf.zeros<tf.Rank.R4>([batch, height, width, 3]);
  const mask = encoded ? tf.zeros<tf.Rank.R3>([batch, height, width]) : null;
  const sizes = (encoded ? tf.zeros([batch, 2]) : null) as tf.Tensor2D;
  const extra = inputs.map(({ name, dtype, shape }) => [name, tf.zeros([batch, ...shape], dtype)]);
  return [{ pixels, mask, sizes }, Object.fromEntries(extra)];
}

/** What tells the variables of this model from those of others that a process loads: their values. */
function scopeOf({ module }: Exportable, settings: ExportSettings): string {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const [name, { variable }] of module.namedParameters('', true)) {
    hash.update(name);
    const { buffer, byteOffset, byteLength } = variable.dataSync();
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return `tfgeo-${hash.digest('hex').slice(0, 16)}`;
}
