// SPDX-License-Identifier: Apache-2.0
import type { HostTensor } from '../engine/index.js';
import type { Tensors } from './batcher.js';
import { isBase64, tensorFromJson, tensorToJson } from './json_tensors.js';
import { RequestError } from './request_error.js';
import { DEFAULT_SIGNATURE } from './served_model.js';
import type { Port, ServedSignature } from './signature.js';

/** The body of a `:predict` request. */
export interface PredictBody {
  signature: string;
  /** `row`: one JSON value for each item of the batch; `column`: one for each input. */
  format: 'row' | 'column';
  content: unknown;
}

const KEYS = ['signature_name', 'instances', 'inputs'];

/** @throws RequestError (400) for what is no body of a `:predict` request */
export function parsePredictBody(bytes: Uint8Array): PredictBody {
  const body = asObject(parseJson(bytes), 'the request');
  const unknown = Object.keys(body).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) {
    throw new RequestError(400, `the request has an unknown key "${unknown}"; it takes ${KEYS.join(', ')}`);
  }
  const signature = body.signature_name ?? DEFAULT_SIGNATURE;
  if (typeof signature !== 'string') throw new RequestError(400, '"signature_name" must be a text');
  const { instances, inputs } = body;
  if ((instances === undefined) === (inputs === undefined)) {
    throw new RequestError(400, 'the request must have either "instances" or "inputs"');
  }
  if (instances === undefined) return { signature, format: 'column', content: inputs };
  if (!Array.isArray(instances) || instances.length === 0) {
    throw new RequestError(400, '"instances" must be a list with at least one entry');
  }
  return { signature, format: 'row', content: instances };
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new RequestError(400, 'JSON parse error: the document is empty');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RequestError(400, 'JSON parse error: the document is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RequestError(400, `JSON parse error: ${(error as Error).message}`);
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new RequestError(400, `${what} must be a JSON object`);
}

/** The tensors of a request. @throws RequestError (400) naming the input that is wrong */
export function readInputs(
  { format, content }: PredictBody,
  signature: ServedSignature,
): Map<string, HostTensor> {
  const byName = format === 'row' ? columnsOf(content as unknown[], signature) : named(content, signature);
  const inputs = new Map<string, HostTensor>();
  for (const [name, value] of byName) {
    const port = signature.inputs.find((input) => input.name === name);
    if (!port) {
      const known = signature.inputs.map((input) => input.name).join(', ');
      throw new RequestError(400, `signature "${signature.name}" has no input "${name}"; it takes ${known}`);
    }
    inputs.set(name, tensorFromJson(name, port.dtype, value));
  }
  return inputs;
}

/** Values by input; where there is one input, it may stand without its name. */
function named(value: unknown, { inputs }: ServedSignature): Map<string, unknown> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value) && !isBase64(value);
  if (isObject) return new Map(Object.entries(value));
  if (inputs.length === 1) return new Map([[inputs[0]!.name, value]]);
  const known = inputs.map(({ name }) => name).join(', ');
  throw new RequestError(400, `the signature has several inputs; give an object with ${known}`);
}

/** Rows turned into one list for each input. */
function columnsOf(rows: readonly unknown[], signature: ServedSignature): Map<string, unknown[]> {
  const columns = new Map<string, unknown[]>();
  rows.forEach((row, i) => {
    for (const [name, value] of named(row, signature)) {
      const column = columns.get(name) ?? [];
      if (column.length < i) throw unevenRows(i);
      column.push(value);
      columns.set(name, column);
    }
  });
  for (const column of columns.values()) if (column.length < rows.length) throw unevenRows(rows.length - 1);
  return columns;
}

function unevenRows(row: number): RequestError {
  return new RequestError(400, `instance ${row} does not have the same inputs as the others`);
}

/**
 * The answer to a request, in its own format.
 * @throws RequestError for outputs that JSON cannot hold, and for rows that the model does not give
 */
export function writeOutputs(
  format: PredictBody['format'],
  ports: readonly Port[],
  outputs: Tensors,
): string {
  return format === 'row'
    ? `{"predictions":${rowsJson(ports, outputs)}}`
    : `{"outputs":${columnsJson(ports, outputs)}}`;
}

function columnsJson(ports: readonly Port[], outputs: Tensors): string {
  const texts = ports.map(({ name }) => {
    const tensor = outputs.get(name)!;
    return [name, tensorToJson(name, tensor, tensor.shape)] as const;
  });
  return objectJson(texts);
}

function rowsJson(ports: readonly Port[], outputs: Tensors): string {
  const counts = new Set(ports.map(({ name }) => outputs.get(name)!.shape[0]));
  const [count] = counts;
  if (counts.size !== 1 || count === undefined) {
    throw new RequestError(400, 'the outputs do not have one row for each instance; ask with "inputs"');
  }
  const rows = Array.from({ length: count }, (_, row) =>
    objectJson(
      ports.map(({ name }) => {
        const tensor = outputs.get(name)!;
        const shape = tensor.shape.slice(1);
        const size = shape.reduce((product, side) => product * side, 1);
        return [name, tensorToJson(name, tensor, shape, row * size)] as const;
      }),
    ),
  );
  return `[${rows.join(',')}]`;
}

/** One output stands without its name. */
function objectJson(texts: readonly (readonly [name: string, json: string])[]): string {
  if (texts.length === 1) return texts[0]![1];
  return `{${texts.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}
