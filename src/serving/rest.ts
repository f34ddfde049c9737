// SPDX-License-Identifier: Apache-2.0
import { TF_DTYPE } from '../engine/index.js';
import type { TensorInfo } from '../export/index.js';
import { parsePredictBody, readInputs, writeOutputs } from './predict_json.js';
import { RequestError } from './request_error.js';
import type { ServedModel } from './served_model.js';

/** What a URL of TensorFlow Serving's REST interface asks for. */
export type Action = 'status' | 'metadata' | 'predict';

const ROUTE = /^\/v1\/models\/([^/:]+)(?:\/versions\/([^/:]+))?(\/metadata|:predict)?$/;

const ACTIONS = { '/metadata': 'metadata', ':predict': 'predict' } as const;

/** What is asked of which model. @throws RequestError (404 or 405) for all other URLs and methods */
export function routeOf(method: string, path: string, model: ServedModel): Action {
  const [, name, version, suffix] = ROUTE.exec(path) ?? [];
  if (name === undefined) throw new RequestError(404, `not found: ${method} ${path}`);
  if (decoded(name) !== model.name || (version !== undefined && version !== model.version)) {
    const asked = version === undefined ? `Latest(${name})` : `Specific(${name}, ${version})`;
    throw new RequestError(404, `Servable not found for request: ${asked}`);
  }
  const action = suffix === undefined ? 'status' : ACTIONS[suffix as keyof typeof ACTIONS];
  const allowed = action === 'predict' ? 'POST' : 'GET';
  if (method !== allowed) throw new RequestError(405, `${action} is asked with ${allowed}, not ${method}`);
  return action;
}

function decoded(name: string): string | null {
  try {
    return decodeURIComponent(name);
  } catch {
    return null;
  }
}

/** The answer to a status request. */
export function statusJson({ version }: ServedModel): string {
  const status = { error_code: 'OK', error_message: '' };
  return JSON.stringify({ model_version_status: [{ version, state: 'AVAILABLE', status }] });
}

const TYPE_NAMES: Readonly<Record<string, string>> = { float32: 'FLOAT', float64: 'DOUBLE', float16: 'HALF' };

/** `DT_FLOAT` and so on, by TensorFlow's numbers. */
const TYPES = new Map(
  Object.entries(TF_DTYPE).map(([name, dtype]) => [
    dtype as number,
    `DT_${TYPE_NAMES[name] ?? name.toUpperCase()}`,
  ]),
);

/** The answer to a metadata request. */
export function metadataJson({ name, version, definitions }: ServedModel): string {
  const infos = (ports: ReadonlyMap<string, TensorInfo>) =>
    Object.fromEntries(
      [...ports].map(([port, { name: tensor, dtype, shape }]) => [
        port,
        {
          dtype: TYPES.get(dtype ?? 0) ?? 'DT_INVALID',
          tensor_shape: {
            dim: (shape?.dim ?? []).map(({ size }) => ({ size: String(size ?? 0), name: '' })),
            unknown_rank: shape?.unknownRank ?? false,
          },
          name: tensor,
        },
      ]),
    );
  const signatures = [...definitions].map(([key, { inputs, outputs, methodName }]) => [
    key,
    { inputs: infos(inputs), outputs: infos(outputs), method_name: methodName ?? '' },
  ]);
  return JSON.stringify({
    model_spec: { name, signature_name: '', version },
    metadata: { signature_def: { signature_def: Object.fromEntries(signatures) } },
  });
}

/**
 * The answer to a `:predict` request.
 * @throws RequestError for a request that is wrong
 */
export async function predictJson(
  model: ServedModel,
  body: Uint8Array,
  cancelled?: () => boolean,
): Promise<string> {
  const request = parsePredictBody(body);
  const signature = model.signature(request.signature);
  const outputs = await model.predict(signature, readInputs(request, signature), cancelled);
  return writeOutputs(request.format, signature.outputs, outputs);
}
