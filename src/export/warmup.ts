// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostTensor } from '../engine/index.js';
import { errorCode } from '../files.js';
import { readTfRecords, tfRecord } from '../tfrecord.js';
import { decode, encode } from './message.js';
import { PREDICTION_LOG } from './serving_messages.js';
import { fromTensorProto, toTensorProto } from './tensor_proto.js';
import type { TensorProto } from './tensorflow_messages.js';

/** Where TensorFlow Serving looks for requests to run before a model counts as loaded. */
const WARMUP_FILE = 'tf_serving_warmup_requests';

/** A call of a SavedModel with its answer. */
export interface Example {
  signature: string;
  inputs: ReadonlyMap<string, HostTensor>;
  outputs: ReadonlyMap<string, HostTensor>;
}

/**
 * The warm-up file of a SavedModel: TensorFlow Serving runs its requests when it loads the model; the answers beside
 * them are what a check compares with.
 */
export function warmupFiles(examples: readonly Example[]): Record<string, Uint8Array> {
  const records = examples.map(({ signature, inputs, outputs }) =>
    tfRecord(
      encode(PREDICTION_LOG, {
        predictLog: {
          request: { modelSpec: { signatureName: signature }, inputs: mapValues(inputs, toTensorProto) },
          response: { outputs: mapValues(outputs, toTensorProto) },
        },
      }),
    ),
  );
  return { [WARMUP_FILE]: Buffer.concat(records) };
}

/** The examples that a SavedModel carries; none if it has no warm-up file. @throws Error if the file is damaged */
export async function readExamples(folder: string): Promise<Example[]> {
  const file = await readFile(join(folder, 'assets.extra', WARMUP_FILE)).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  });
  return readTfRecords(file ?? Buffer.alloc(0)).flatMap((record) => {
    const { predictLog } = decode(PREDICTION_LOG, record);
    if (!predictLog?.response) return [];
    const { request, response } = predictLog;
    return {
      signature: request.modelSpec.signatureName ?? '',
      inputs: mapValues(request.inputs, (proto: TensorProto) => fromTensorProto(proto)),
      outputs: mapValues(response.outputs, (proto: TensorProto) => fromTensorProto(proto)),
    };
  });
}

function mapValues<A, B>(map: ReadonlyMap<string, A>, change: (value: A) => B): Map<string, B> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}
