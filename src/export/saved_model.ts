// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { currentEngine, TF_DTYPE, type TfDtypeName } from '../engine/index.js';
import { EXIT_CODES, UserError } from '../errors.js';
import { describeWriteError, errorCode } from '../files.js';
import { GraphBuilder } from './graph_builder.js';
import { decode, encode } from './message.js';
import { stripDefaults } from './op_definitions.js';
import { shapeProto } from './tensor_proto.js';
import {
  type FunctionDef,
  type MetaGraph,
  type NodeDef,
  SAVED_MODEL,
  type SignatureDef,
  type TensorInfo,
  type Versions,
} from './tensorflow_messages.js';
import { addSaver, type SavedVariable, type VariableNodes, writeCheckpoint } from './variables.js';

/** The tag under which TensorFlow Serving looks for a graph. */
const SERVE = 'serve';

/** Method of signatures that are called through Serving's `predict`. */
const PREDICT = 'tensorflow/serving/predict';

/** An input or output of a signature. */
export interface SignatureTensor {
  /** Tensor of the graph, `node:0`. */
  tensor: string;
  dtype: TfDtypeName;
  /** -1 where a side may have any length. */
  shape: readonly number[];
}

/** A way to call a SavedModel, by the names of its inputs and outputs. */
export interface Signature {
  inputs: Readonly<Record<string, SignatureTensor>>;
  outputs: Readonly<Record<string, SignatureTensor>>;
}

/** All that a SavedModel consists of. */
export interface SavedModelContent {
  nodes: NodeDef[];
  functions?: FunctionDef[];
  versions?: Versions;
  /** Values of the checkpoint, with their nodes from `addVariable`. */
  variables: readonly (SavedVariable & { nodes: VariableNodes })[];
  signatures: Readonly<Record<string, Signature>>;
  /** Contents of files that belong to the model, by name; written to `assets/`. */
  assets?: Readonly<Record<string, string | Uint8Array>>;
  /** Contents of files that no graph names, by name; written to `assets.extra/`. */
  extra?: Readonly<Record<string, string | Uint8Array>>;
}

/**
 * Writes a SavedModel: graph, checkpoint, signatures and assets, as TensorFlow Serving, `tf.saved_model.load` and
 * `tf.node.loadSavedModel` read them. It appears under its name whole or not at all. Engine `tensorflow` must be ready.
 *
 * @param folder must not exist, or be empty
 * @param check looks at the written folder before it takes its name; what it throws undoes the export
 * @throws UserError if the folder is taken or cannot be written
 */
export async function writeSavedModel(
  folder: string,
  content: SavedModelContent,
  check: (folder: string) => Promise<void> = async () => undefined,
): Promise<void> {
  const target = resolve(folder);
  await assertFree(target);
  const temporary = join(
    dirname(target),
    `.${basename(target)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  );
  const cleanUp = () => rmSync(temporary, { recursive: true, force: true });
  process.once('exit', cleanUp);
  try {
    // Step by step, so that nothing is still being written when a signal ends the program and `cleanUp` runs.
    mkdirSync(temporary, { recursive: true });
    writeParts(temporary, content);
    await check(temporary);
    syncFiles(temporary);
    renameSync(temporary, target);
  } catch (error) {
    throw describeWriteError(target, error);
  } finally {
    process.off('exit', cleanUp);
    cleanUp();
  }
}

/** @throws UserError if something is there already */
export async function assertFree(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw describeWriteError(folder, errorCode(error) === 'ENOTDIR' ? { code: 'EEXIST' } : error);
  });
  if (found.length === 0) return;
  throw new UserError(
    `${folder} is not empty; export to a new folder, e.g. the next version ${join(folder, '2')}`,
    EXIT_CODES.data,
  );
}

function writeParts(folder: string, content: SavedModelContent): void {
  const { variables } = content;
  if (variables.length > 0) {
    mkdirSync(join(folder, 'variables'));
    writeCheckpoint(join(folder, 'variables', 'variables'), variables);
  }
  for (const [place, files] of [
    ['assets', content.assets],
    ['assets.extra', content.extra],
  ] as const) {
    const entries = Object.entries(files ?? {});
    if (entries.length > 0) mkdirSync(join(folder, place));
    for (const [name, data] of entries) writeFileSync(join(folder, place, name), data);
  }
  const metaGraphs = [metaGraph(content)];
  writeFileSync(join(folder, 'saved_model.pb'), encode(SAVED_MODEL, { schemaVersion: 1, metaGraphs }));
}

function metaGraph(content: SavedModelContent): MetaGraph {
  const { variables, assets, functions = [] } = content;
  const graph = new GraphBuilder([...content.nodes]);
  const saver = addSaverFor(graph, variables);
  const assetFiles = Object.keys(assets ?? {}).map((filename) => ({
    tensorInfo: { name: `${graph.text(`assets/${filename}`, filename)}:0` },
    filename,
  }));
  const library = { functions };
  stripDefaults(graph.nodes);
  for (const { nodes } of functions) stripDefaults(nodes);
  return {
    metaInfo: {
      tags: [SERVE],
      tensorflowVersion: currentEngine()?.tensorflow?.version ?? 'unknown',
      strippedDefaultAttrs: true,
    },
    graph: {
      nodes: graph.nodes,
      ...(functions.length > 0 ? { library } : {}),
      ...(content.versions ? { versions: content.versions } : {}),
    },
    ...(saver ? { saver } : {}),
    signatures: new Map(Object.entries(content.signatures).map(([name, each]) => [name, signatureDef(each)])),
    assetFiles,
  };
}

function addSaverFor(graph: GraphBuilder, variables: SavedModelContent['variables']) {
  if (variables.length === 0) return null;
  return addSaver(
    graph,
    variables,
    variables.map(({ nodes }) => nodes),
  );
}

function signatureDef({ inputs, outputs }: Signature): SignatureDef {
  const infos = (tensors: Signature['inputs']): Map<string, TensorInfo> =>
    new Map(
      Object.entries(tensors).map(([name, { tensor, dtype, shape }]) => [
        name,
        { name: tensor, dtype: TF_DTYPE[dtype], shape: shapeProto(shape) },
      ]),
    );
  return { inputs: infos(inputs), outputs: infos(outputs), methodName: PREDICT };
}

function syncFiles(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = openSync(join(entry.parentPath, entry.name), 'r');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}

/**
 * The graph that a SavedModel has for serving.
 * @throws UserError if there is none, or its file is damaged
 */
export async function readSavedModel(folder: string): Promise<MetaGraph> {
  const path = join(folder, 'saved_model.pb');
  const bytes = await readFile(path).catch((error: unknown) => {
    const reason =
      errorCode(error) === 'ENOENT' ? 'is missing' : `cannot be read (${(error as Error).message})`;
    throw new UserError(`${path} ${reason}; give the folder of a SavedModel`, EXIT_CODES.checkpoint);
  });
  let found: MetaGraph | undefined;
  try {
    found = decode(SAVED_MODEL, bytes).metaGraphs.find(({ metaInfo }) => metaInfo?.tags.includes(SERVE));
  } catch (error) {
    throw new UserError(`${path} is damaged: ${(error as Error).message}`, EXIT_CODES.checkpoint);
  }
  if (found) return found;
  throw new UserError(`${path} holds no graph with the tag "${SERVE}"`, EXIT_CODES.checkpoint);
}
