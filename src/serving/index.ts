// SPDX-License-Identifier: Apache-2.0

/** A server with TensorFlow Serving's REST interface, and a client for it. */
export {
  encodeQuery,
  type PredictOptions,
  predict,
  type QueryInputs,
  type ServedDetection,
} from './client.js';
export { type RunningServer, type ServeOptions, serve } from './server.js';
