// SPDX-License-Identifier: Apache-2.0
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ready } from '../engine/index.js';
import { EXIT_CODES, UserError } from '../errors.js';
import { errorCode } from '../files.js';
import { findModel } from './model_folder.js';
import { RequestError } from './request_error.js';
import { metadataJson, predictJson, routeOf, statusJson } from './rest.js';
import { ServedModel } from './served_model.js';

export interface ServeOptions {
  /** Default 8501, the port of TensorFlow Serving's REST interface; 0 takes a free one. */
  port?: number;
  /** Default 127.0.0.1: this machine only. */
  host?: string;
  /** Name in URLs; default: the folder's. */
  name?: string;
  /** Most rows that are computed together; default 16. */
  maxBatch?: number;
  /** Milliseconds that a request waits for others to join it; default 2. */
  batchWait?: number;
  /** `:predict` requests under way at a time, those that wait included; more are answered with 429. Default 64. */
  maxRequests?: number;
  /** Largest body in bytes; default 32 MiB. */
  bodyLimit?: number;
}

/** A running server. */
export interface RunningServer {
  name: string;
  version: string;
  /** Where the model answers: `http://HOST:PORT/v1/models/NAME`. */
  url: string;
  /** Answers what is under way, then stops. Calling it again waits for the same end. */
  close(): Promise<void>;
}

/** Runs under way at a time: one computes while the next is put together. */
const PARALLEL_RUNS = 2;

/** Time to send a whole request in. */
const REQUEST_TIMEOUT_MS = 60_000;

/**
 * Serves a SavedModel with TensorFlow Serving's REST interface, for development and tests.
 * @param folder a SavedModel, or a folder of version folders, of which the newest is served
 * @throws UserError if there is no such model, or the port is taken
 */
export async function serve(folder: string, options: ServeOptions = {}): Promise<RunningServer> {
  const found = await findModel(folder, options.name);
  await ready({ engine: 'tensorflow' });
  const limits = {
    maxBatch: options.maxBatch ?? 16,
    waitMs: options.batchWait ?? 2,
    parallel: PARALLEL_RUNS,
  };
  const model = await ServedModel.open(found, limits);
  const app = makeApp(model, options);
  try {
    await app.listen({ port: options.port ?? 8501, host: options.host ?? '127.0.0.1' });
  } catch (error) {
    model.close();
    throw describeListenError(error, options);
  }
  const { address, port, family } = app.server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  let closing: Promise<void> | null = null;
  const close = async () => {
    await app.close();
    model.close();
  };
  return {
    name: model.name,
    version: model.version,
    url: `http://${host}:${port}/v1/models/${encodeURIComponent(model.name)}`,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function describeListenError(error: unknown, { port, host }: ServeOptions): unknown {
  const place = `${host ?? '127.0.0.1'}:${port ?? 8501}`;
  const remedies: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens there; choose another --port',
    EACCES: 'no permission to listen there; choose a --port above 1023',
    EADDRNOTAVAIL: 'this machine has no such address; choose another --host',
    ENOTFOUND: 'there is no such host; choose another --host',
  };
  const remedy = remedies[errorCode(error) ?? ''];
  return remedy ? new UserError(`cannot serve at ${place}: ${remedy}`, EXIT_CODES.usage) : error;
}

function makeApp(model: ServedModel, options: ServeOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: options.bodyLimit ?? 32 * 1024 * 1024,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => {
      const isUrl = error.code === 'FST_ERR_BAD_URL';
      sendError(reply as unknown as FastifyReply, isUrl ? notFound(request as FastifyRequest) : error);
    },
    clientErrorHandler: (error, socket) => {
      if (errorCode(error) === 'ECONNRESET' || !socket.writable) return socket.destroy();
      const body = JSON.stringify({ error: `malformed request: ${error.message}` });
      const head = 'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close';
      socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
  });
  // Like TensorFlow Serving, whatever the content is called, it is JSON.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => sendError(reply, error));
  app.setNotFoundHandler((request, reply) => sendError(reply, notFound(request)));
  hangUpWhenClosing(app);
  limitRequests(app, model, options.maxRequests ?? 64);
  app.all('/*', (request, reply) => answer(model, request, reply));
  return app;
}

function notFound({ method, url }: FastifyRequest): RequestError {
  return new RequestError(404, `not found: ${method} ${url}`);
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0]!;
}

/** Connections that are answered while the server closes end with that answer, or they would hold it up. */
function hangUpWhenClosing(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('Connection', 'close');
  });
}

/** Answers a `:predict` request at once, before its body is read, if too many are under way. */
function limitRequests(app: FastifyInstance, model: ServedModel, most: number): void {
  let underWay = 0;
  app.addHook('onRequest', async (request, reply) => {
    if (routeOf(request.method, pathOf(request), model) !== 'predict') return;
    if (underWay >= most) {
      reply.header('Retry-After', '1').header('Connection', 'close');
      throw new RequestError(429, `${most} requests are under way; try again`);
    }
    underWay++;
    reply.raw.once('close', () => {
      underWay--;
    });
  });
}

async function answer(
  model: ServedModel,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.type('application/json');
  const action = routeOf(request.method, pathOf(request), model);
  if (action === 'status') return reply.send(statusJson(model));
  if (action === 'metadata') return reply.send(metadataJson(model));
  if (request.headers['content-encoding'] !== undefined) {
    throw new RequestError(415, 'the body must not be compressed');
  }
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return reply.send(await predictJson(model, body, () => reply.raw.destroyed));
}

function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  const status = error instanceof RequestError ? error.status : statusOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return reply
    .code(status)
    .type('application/json')
    .send(JSON.stringify({ error: message }));
}

/** Fastify's own errors know their status; all others are faults of the server or the model. */
function statusOf(error: unknown): number {
  const { statusCode } = error as { statusCode?: unknown };
  return typeof statusCode === 'number' ? statusCode : 500;
}
