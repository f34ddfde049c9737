// SPDX-License-Identifier: Apache-2.0

/** A server with TensorFlow Serving's REST interface. */
export { type RunningServer, type ServeOptions, serve } from './server.js';
