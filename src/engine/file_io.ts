// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../errors.js';
import { writeFilesAtomicSync } from '../files.js';

const SCHEME = 'file://';
const MODEL_FILE = 'model.json';
const WEIGHTS_FILE = 'weights.bin';

/**
 * Makes `model.save('file://folder')` and `tf.loadLayersModel('file://folder/model.json')` work, in the format of
 * TensorFlow.js. Does nothing where a handler for `file://` exists already, such as tfjs-node's.
 */
export function registerFileHandlers(): void {
  // TensorFlow.js types the routers as never giving null, and tests for null.
  const route = (url: string | string[]) => {
    const own = typeof url === 'string' && url.startsWith(SCHEME);
    return (own ? fileHandler(url) : null) as tf.io.IOHandler;
  };
  if (tf.io.getSaveHandlers(SCHEME).length === 0) tf.io.registerSaveRouter(route);
  if (tf.io.getLoadHandlers(SCHEME).length === 0) tf.io.registerLoadRouter(route);
}

/**
 * Saves models to and loads them from a folder.
 *
 * @param url `file://` and a relative or absolute path of a folder, or (for loading) of its `model.json`
 */
export function fileHandler(url: string): tf.io.IOHandler {
  const path = pathOf(url);
  return { save: (artifacts) => save(path, artifacts), load: () => load(path) };
}

/** `file:///a%20b` is a URL; `file://./a b` is tfjs-node's way of writing a relative path. */
function pathOf(url: string): string {
  if (!url.startsWith(`${SCHEME}/`)) return resolve(url.slice(SCHEME.length));
  try {
    return fileURLToPath(url);
  } catch {
    return resolve(url.slice(SCHEME.length));
  }
}

async function save(folder: string, artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
  const { modelTopology, weightData, weightSpecs, ...rest } = artifacts;
  if (modelTopology instanceof ArrayBuffer) {
    throw new UserError(
      `cannot save to ${folder}: only layers models (model.json) can be saved`,
      EXIT_CODES.usage,
    );
  }
  const { format, generatedBy, convertedBy, trainingConfig, signature, userDefinedMetadata } = rest;
  const json = {
    modelTopology,
    weightsManifest: [{ paths: [WEIGHTS_FILE], weights: weightSpecs ?? [] }],
    ...{ format, generatedBy, convertedBy, trainingConfig, signature, userDefinedMetadata },
  };
  const buffers = weightData === undefined ? [] : Array.isArray(weightData) ? weightData : [weightData];
  writeFilesAtomicSync([
    { path: join(folder, WEIGHTS_FILE), chunks: buffers.map((buffer) => new Uint8Array(buffer)) },
    { path: join(folder, MODEL_FILE), chunks: JSON.stringify(json) },
  ]);
  const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  return {
    modelArtifactsInfo: {
      dateSaved: new Date(),
      modelTopologyType: 'JSON',
      modelTopologyBytes: Buffer.byteLength(JSON.stringify(modelTopology ?? {})),
      weightSpecsBytes: Buffer.byteLength(JSON.stringify(weightSpecs ?? [])),
      weightDataBytes: bytes,
    },
  };
}

async function load(path: string): Promise<tf.io.ModelArtifacts> {
  const info = await stat(path).catch(() => null);
  const file = info?.isDirectory() ? join(path, MODEL_FILE) : path;
  const json = await readModelJson(file);
  return tf.io.getModelArtifactsForJSON(json, async (manifest) => {
    const specs = manifest.flatMap((group) => group.weights);
    const paths = manifest.flatMap((group) => group.paths).map((name) => join(dirname(file), name));
    const parts = await Promise.all(paths.map((part) => readPart(part, file)));
    const bytes = Buffer.concat(parts);
    checkSize(specs, bytes.byteLength, file);
    return [specs, bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)];
  });
}

async function readModelJson(file: string): Promise<tf.io.ModelJSON> {
  const text = await readFile(file, 'utf8').catch((error: Error) =>
    fail(`cannot read model ${file} (${error.message}); give the folder it was saved to`, error),
  );
  try {
    const json = JSON.parse(text) as tf.io.ModelJSON;
    if (Array.isArray(json.weightsManifest) && json.modelTopology) return json;
  } catch (error) {
    fail(`${file} is not JSON (${(error as Error).message}); save the model again`, error);
  }
  return fail(`${file} holds no model (no modelTopology or weightsManifest); save the model again`);
}

function fail(message: string, cause?: unknown): never {
  throw new UserError(message, EXIT_CODES.checkpoint, { cause });
}

function readPart(part: string, file: string): Promise<Buffer> {
  return readFile(part).catch((error: Error) =>
    fail(`cannot read ${part}, which ${file} refers to (${error.message}); save the model again`, error),
  );
}

const BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  complex64: 8,
  bool: 1,
  float16: 2,
  uint16: 2,
  uint8: 1,
};

/** A file that was cut short must not give weights of zeros or noise. */
function checkSize(specs: tf.io.WeightsManifestEntry[], received: number, file: string): void {
  if (specs.some(({ dtype }) => dtype === 'string')) return; // of unknown length
  const expected = specs.reduce((sum, { shape, dtype, quantization }) => {
    const size = shape.reduce((product, n) => product * n, 1);
    return sum + size * (BYTES[quantization?.dtype ?? dtype] ?? 4);
  }, 0);
  if (expected !== received) {
    fail(`the weights of ${file} have ${received} bytes where it lists ${expected}; save the model again`);
  }
}
