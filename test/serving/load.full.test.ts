// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ready } from '../../src/engine/index.js';
import { writeSavedModel } from '../../src/export/index.js';
import { type RunningServer, serve } from '../../src/serving/index.js';
import { affineModel, disposeContent } from '../export/affine_model.js';
import { ask, askRaw } from './http.js';

const CLIENTS = 32;
const REQUESTS = 10_000;

const root = mkdtempSync(join(tmpdir(), 'tfgeo-load-'));
let server: RunningServer;

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  const content = affineModel('load');
  await writeSavedModel(join(root, 'affine'), content);
  disposeContent(content);
  server = await serve(join(root, 'affine'), { port: 0 });
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

describe('under load', () => {
  it(`${REQUESTS} requests of ${CLIENTS} clients get their own answers, while others break off`, async () => {
    let next = 0;
    let wrong = 0;
    let done = false;
    const client = async () => {
      for (let i = next++; i < REQUESTS; i = next++) {
        const rows = Array.from({ length: 1 + (i % 4) }, (_, row) => [i, row, 0]);
        const expected = rows.map(([a, b]) => [a! + 3 * b! + 0.5, 2 * a! + 4 * b! - 0.5]);
        const { status, json } = await ask(
          `${server.url}:predict`,
          'POST',
          JSON.stringify({ instances: rows }),
        );
        if (status !== 200 || JSON.stringify(json) !== JSON.stringify({ predictions: expected })) wrong++;
      }
    };
    const breaker = async () => {
      const path = new URL(server.url).pathname;
      const body = JSON.stringify({ instances: [[1, 2, 3]] });
      const head = `POST ${path}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
      while (!done) await askRaw(server.url, head + body, Math.floor(next % 3));
    };
    const breaking = [breaker(), breaker()];
    await Promise.all(Array.from({ length: CLIENTS }, client));
    done = true;
    await Promise.all(breaking);
    expect(wrong).toBe(0);
    expect(next).toBeGreaterThanOrEqual(REQUESTS);
  });
});
