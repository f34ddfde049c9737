// SPDX-License-Identifier: Apache-2.0
import type { MessageSpec } from './message.js';
import { TENSOR, type TensorProto } from './tensorflow_messages.js';

/* Messages of TensorFlow Serving's model.proto, predict.proto and prediction_log.proto, as far as a warm-up record needs them. */

export interface ModelSpec {
  name?: string;
  signatureName?: string;
}
const MODEL_SPEC: MessageSpec<ModelSpec> = {
  name: { number: 1, of: 'text' },
  signatureName: { number: 3, of: 'text' },
};

export interface PredictRequest {
  modelSpec: ModelSpec;
  inputs: Map<string, TensorProto>;
}
const PREDICT_REQUEST: MessageSpec<PredictRequest> = {
  modelSpec: { number: 1, of: () => MODEL_SPEC },
  inputs: { number: 2, of: () => TENSOR, count: 'map' },
};

export interface PredictResponse {
  outputs: Map<string, TensorProto>;
  modelSpec?: ModelSpec;
}
const PREDICT_RESPONSE: MessageSpec<PredictResponse> = {
  outputs: { number: 1, of: () => TENSOR, count: 'map' },
  modelSpec: { number: 2, of: () => MODEL_SPEC },
};

export interface PredictLog {
  request: PredictRequest;
  response?: PredictResponse;
}
const PREDICT_LOG: MessageSpec<PredictLog> = {
  request: { number: 1, of: () => PREDICT_REQUEST },
  response: { number: 2, of: () => PREDICT_RESPONSE },
};

export interface PredictionLog {
  predictLog?: PredictLog;
}
export const PREDICTION_LOG: MessageSpec<PredictionLog> = {
  predictLog: { number: 6, of: () => PREDICT_LOG },
};
