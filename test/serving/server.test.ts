// SPDX-License-Identifier: Apache-2.0
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { nativeBinding, ready } from '../../src/engine/index.js';
import { UserError } from '../../src/errors.js';
import { writeSavedModel } from '../../src/export/index.js';
import { type RunningServer, serve } from '../../src/serving/index.js';
import { affineModel, disposeContent } from '../export/affine_model.js';
import { ask, askRaw } from './http.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-serve-'));
const at = (name: string) => join(root, name);
let server: RunningServer;

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  const content = affineModel('served');
  await writeSavedModel(at('affine/2'), content);
  disposeContent(content);
  cpSync(at('affine/2'), at('affine/10'), { recursive: true });
  server = await serve(at('affine'), { port: 0, bodyLimit: 64 * 1024 });
});

afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true, force: true });
});

const predict = (body: unknown, url = server.url) => ask(`${url}:predict`, 'POST', JSON.stringify(body));

describe('status and metadata', () => {
  it('of the newest version, by number', async () => {
    expect(server).toMatchObject({ name: 'affine', version: '10' });
    const expected = {
      model_version_status: [
        { version: '10', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } },
      ],
    };
    expect(await ask(server.url)).toMatchObject({ status: 200, json: expected });
    expect(await ask(`${server.url}/versions/10`)).toMatchObject({ status: 200, json: expected });
    expect(await ask(`${server.url}/versions/2`)).toMatchObject({ status: 404 });
  });

  it('name signatures, types and shapes as TensorFlow Serving does', async () => {
    const { json } = await ask(`${server.url}/metadata`);
    expect(json).toMatchObject({
      model_spec: { name: 'affine', signature_name: '', version: '10' },
      metadata: {
        signature_def: {
          signature_def: {
            serving_default: {
              inputs: {
                x: {
                  dtype: 'DT_FLOAT',
                  tensor_shape: {
                    dim: [
                      { size: '-1', name: '' },
                      { size: '3', name: '' },
                    ],
                    unknown_rank: false,
                  },
                  name: 'x:0',
                },
              },
              method_name: 'tensorflow/serving/predict',
            },
            named: { inputs: { whole: { dtype: 'DT_INT64' }, name: { dtype: 'DT_STRING' } } },
          },
        },
      },
    });
  });
});

describe('predict', () => {
  it('answers rows with rows', async () => {
    const answer = await predict({ instances: [[1, 0, 2], { x: [0, 0, 0.25] }] });
    expect(answer).toMatchObject({ status: 200 });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.text).toBe('{"predictions":[[11.5,13.5],[1.75,1]]}');
  });

  it('writes floats short and exact', async () => {
    const { text } = await predict({
      signature_name: 'number',
      instances: ['0.1', '1e-30', '16777217', '3.1415927'],
    });
    expect(text).toBe('{"predictions":[0.1,1e-30,16777216,3.1415927]}');
  });

  it('answers columns with columns', async () => {
    expect((await predict({ inputs: [[1, 0, 2]] })).json).toEqual({ outputs: [[11.5, 13.5]] });
    expect((await predict({ inputs: { x: [[1, 0, 2]] } })).json).toEqual({ outputs: [[11.5, 13.5]] });
  });

  it('takes a signature by name, bytes as base64, and gives bytes as base64', async () => {
    const row = { x: [0, 0, 0], name: { b64: Buffer.from('añ').toString('base64') }, whole: 2 ** 40 };
    const expected = {
      y: [0.5, -0.5],
      label_bytes: { b64: Buffer.from('Añ').toString('base64') },
      next: 2 ** 40 + 1,
    };
    const byRow = await predict({ signature_name: 'named', instances: [row, { ...row, name: 'b' }] });
    expect(byRow.json).toEqual({ predictions: [expected, { ...expected, label_bytes: { b64: 'Qg==' } }] });
    const inputs = { x: [row.x], name: [row.name], whole: [row.whole] };
    const { json } = await predict({ signature_name: 'named', inputs });
    expect(json).toEqual({
      outputs: { y: [expected.y], label_bytes: [expected.label_bytes], next: [expected.next] },
    });
  });

  it('takes the version in the URL', async () => {
    expect(await predict({ instances: [[0, 0, 0]] }, `${server.url}/versions/10`)).toMatchObject({
      status: 200,
    });
    expect(await predict({ instances: [[0, 0, 0]] }, `${server.url}/versions/3`)).toMatchObject({
      status: 404,
    });
  });

  it('gives each of many clients at the same time its own answer', async () => {
    const clients = Array.from({ length: 64 }, async (_, client) => {
      for (let i = 0; i < 10; i++) {
        const value = client * 100 + i;
        const rows = Array.from({ length: 1 + (value % 3) }, (_, row) => [value + row, 0, 0]);
        const { status, json } = await predict({ instances: rows });
        const expected = rows.map(([first]) => [first! + 0.5, 2 * first! - 0.5]);
        expect({ status, json }).toEqual({ status: 200, json: { predictions: expected } });
      }
    });
    await Promise.all(clients);
  });
});

/** Bodies that are wrong, each in its own way, and what the answer says. */
const MALFORMED: readonly [what: string, body: string | Uint8Array, says: RegExp][] = [
  ['empty', '', /empty/],
  ['no JSON', 'hello', /JSON parse error/],
  ['cut short', '{"instances": [[1, 2', /JSON parse error/],
  ['no UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), /UTF-8/],
  ['a number', '3', /object/],
  ['a list', '[1, 2, 3]', /object/],
  ['null', 'null', /object/],
  ['without inputs', '{}', /either/],
  ['rows and columns', '{"instances": [[1,2,3]], "inputs": [[1,2,3]]}', /either/],
  ['unknown key', '{"instances": [[1,2,3]], "instance": 1}', /"instance"/],
  ['unknown signature', '{"signature_name": "nope", "instances": [[1,2,3]]}', /"nope".*serving_default/],
  ['a signature that is no text', '{"signature_name": 3, "instances": [[1,2,3]]}', /signature_name/],
  ['rows that are no list', '{"instances": {"x": 1}}', /list/],
  ['no rows', '{"instances": []}', /at least one/],
  ['uneven rows', '{"instances": [[1,2,3], [1,2]]}', /differ/],
  ['uneven depth', '{"instances": [[1,2,[3]]]}', /differ/],
  ['a wrong shape', '{"instances": [[1,2,3,4]]}', /\[\?, 3\].*\[1, 4\]/],
  ['a wrong rank', '{"inputs": 1}', /shape/],
  ['texts for numbers', '{"instances": [["a","b","c"]]}', /numbers.*"a"/],
  ['null for a number', '{"instances": [[1,null,3]]}', /null/],
  ['a number too large', '{"instances": [[1e999,0,0]]}', /numbers/],
  ['an unknown input', '{"inputs": {"y": [[1,2,3]]}}', /no input "y"/],
  ['a missing input', '{"signature_name": "named", "inputs": {"x": [[1,2,3]]}}', /"name".*missing/],
  ['rows with other inputs', '{"instances": [{"x": [1,2,3]}, {}]}', /instance 1/],
  ['several inputs without names', '{"signature_name": "named", "inputs": [1]}', /several inputs/],
  [
    'bad base64',
    '{"signature_name": "named", "inputs": {"x": [[1,2,3]], "name": [{"b64": "%%"}], "whole": [1]}}',
    /base64/,
  ],
  [
    'an object for a text',
    '{"signature_name": "named", "inputs": {"x": [[1,2,3]], "name": [{"b65": "aa"}], "whole": [1]}}',
    /b64/,
  ],
  [
    'a fraction for a whole number',
    '{"signature_name": "named", "inputs": {"x": [[1,2,3]], "name": ["a"], "whole": [1.5]}}',
    /whole numbers/,
  ],
  [
    'a whole number that JSON cannot hold',
    '{"signature_name": "named", "inputs": {"x": [[1,2,3]], "name": ["a"], "whole": [1e300]}}',
    /int64 from/,
  ],
  ['lists without end', `{"inputs": ${'['.repeat(50)}${']'.repeat(50)}}`, /deeply/],
];

describe('requests that are wrong', () => {
  it.each(MALFORMED)('%s: 400 that says so, and the server goes on', async (_, body, says) => {
    const { status, json } = await ask(`${server.url}:predict`, 'POST', body);
    expect(status).toBe(400);
    expect((json as { error: string }).error).toMatch(says);
    expect(await predict({ instances: [[1, 0, 2]] })).toMatchObject({ status: 200 });
  });

  it('a body over the limit: 413', async () => {
    const body = `{"instances": [${'[1,2,3],'.repeat(10_000)}[1,2,3]]}`;
    const { status, json } = await ask(`${server.url}:predict`, 'POST', body);
    expect({ status, json }).toMatchObject({
      status: 413,
      json: { error: expect.stringContaining('large') },
    });
  });

  it('a compressed body: 415', async () => {
    const headers = { 'content-encoding': 'gzip' };
    expect(await ask(`${server.url}:predict`, 'POST', 'x', headers)).toMatchObject({ status: 415 });
  });

  it('what TensorFlow refuses: 400, and those that were computed with it get their answers', async () => {
    const texts = Array.from({ length: 12 }, (_, i) => (i === 5 ? 'five' : String(i)));
    const ask = (text: string) => predict({ signature_name: 'number', instances: [text] });
    const answers = await Promise.all(texts.map(ask));
    answers.forEach(({ status, json }, i) => {
      if (i === 5)
        expect({ status, json }).toMatchObject({
          status: 400,
          json: { error: expect.stringContaining('five') },
        });
      else expect(json).toEqual({ predictions: [i] });
    });
  });

  it('numbers that JSON cannot hold in the answer: 500 that names the output', async () => {
    const { status, json } = await predict({ instances: [[3e38, 3e38, 3e38]] });
    expect(status).toBe(500);
    expect((json as { error: string }).error).toMatch(/"y".*Infinity/);
  });

  it('no HTTP at all: 400', async () => {
    expect(await askRaw(server.url, 'GARBAGE\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*\{"error":/s);
  });

  it.each([
    'GET /v1/models/affine:predict',
    'POST /v1/models/affine',
    'DELETE /v1/models/affine',
    'PUT /v1/models/affine/metadata',
  ])('%s: 405', async (line) => {
    const [method, path] = line.split(' ') as [string, string];
    expect(await ask(new URL(server.url).origin + path, method)).toMatchObject({ status: 405 });
  });
});

describe('paths', () => {
  it.each([
    '/',
    '/v1/models',
    '/v1/models/',
    '/v1/models/other',
    '/v1/models/other:predict',
    '/v1/models/affine/',
    '/v1/models/affine/versions',
    '/v1/models/affine/versions/latest',
    '/v1/models/affine/versions/../10',
    '/v1/models/affine/../affine',
    '/v1/models/../../../../etc/passwd',
    '/v1/models/..%2f..%2f..%2fetc%2fpasswd',
    '/v1/models/affine%2f10',
    '/v1/models/affine/versions/10/saved_model.pb',
    '/v1/models/affine/assets/labels.txt',
    '/v1/models/%00',
    '/v1/models/%zz',
    '/../../etc/passwd',
    '//etc/passwd',
    '/v1/models/affine:classify',
    '/v1/models/affine:predict/../metadata',
  ])('%s: 404', async (path) => {
    const { status, json } = await ask(new URL(server.url).origin + path);
    expect({ status, json }).toMatchObject({ status: 404, json: { error: expect.any(String) } });
  });
});

describe('clients that go away', () => {
  it('harm nobody, in the middle of a request or before its answer', async () => {
    const body = JSON.stringify({ instances: [[1, 2, 3]] });
    const head = (length: number) =>
      `POST ${new URL(server.url).pathname}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
    const gone = Array.from({ length: 20 }, (_, i) => {
      if (i % 3 === 0) return askRaw(server.url, head(10_000) + body, 5);
      return askRaw(server.url, head(body.length) + body, i % 3 === 1 ? 0 : 1);
    });
    const others = Array.from({ length: 20 }, (_, i) => predict({ instances: [[i, 0, 0]] }));
    const answers = await Promise.all(others);
    await Promise.all(gone);
    answers.forEach(({ json }, i) => {
      expect(json).toEqual({ predictions: [[i + 0.5, 2 * i - 0.5]] });
    });
    // None of those that went away holds a place: as many as there are places are answered.
    const all = await Promise.all(Array.from({ length: 64 }, () => predict({ instances: [[1, 0, 2]] })));
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe('limits', () => {
  it('answer with 429 and Retry-After what is too much, and status all the while', async () => {
    const small = await serve(at('affine/2'), { port: 0, maxRequests: 2, batchWait: 300, name: 'small' });
    try {
      expect(small).toMatchObject({ name: 'small', version: '2' });
      const answers = Promise.all(
        Array.from({ length: 6 }, () => predict({ instances: [[1, 0, 2]] }, small.url)),
      );
      expect(await ask(small.url)).toMatchObject({ status: 200 });
      const statuses = (await answers).map(({ status }) => status).sort();
      expect(statuses).toEqual([200, 200, 429, 429, 429, 429]);
      const refused = (await answers).find(({ status }) => status === 429)!;
      expect(refused.headers['retry-after']).toBe('1');
      expect(await predict({ instances: [[1, 0, 2]] }, small.url)).toMatchObject({ status: 200 });
    } finally {
      await small.close();
    }
  });
});

describe('closing', () => {
  it('answers what is under way, takes nothing new, and frees the model', async () => {
    const before = nativeBinding().getNumOfSavedModels();
    const closing = await serve(at('affine'), { port: 0, batchWait: 200 });
    expect(nativeBinding().getNumOfSavedModels()).toBe(before + 1);
    const underWay = predict({ instances: [[1, 0, 2]] }, closing.url);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [answer] = await Promise.all([underWay, closing.close(), closing.close()]);
    expect(answer.json).toEqual({ predictions: [[11.5, 13.5]] });
    await expect(ask(closing.url)).rejects.toThrow('ECONNREFUSED');
    expect(nativeBinding().getNumOfSavedModels()).toBe(before);
  });
});

describe('mistakes at the start', () => {
  it('are answered in one line: no model, a port that is taken', async () => {
    const mistake = async (promise: Promise<unknown>) => {
      const error = await promise.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UserError);
      return (error as UserError).message;
    };
    expect(await mistake(serve(at('nowhere')))).toContain('cannot be read');
    expect(await mistake(serve(root))).toContain('no SavedModel');
    const { port } = new URL(server.url);
    expect(await mistake(serve(at('affine'), { port: Number(port) }))).toContain('--port');
  });
});
