// SPDX-License-Identifier: Apache-2.0
// The development server under load: requests per second and latencies, and that each client gets its own answer.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import sharp from 'sharp';
import { load } from '../src/detector.js';
import { ready } from '../src/engine/index.js';
import { UserError } from '../src/errors.js';
import { exportModel } from '../src/export/index.js';
import { packageRoot } from '../src/package.js';
import { generateScene } from '../src/train/data/scenes/index.js';
import { autocannon, type LoadRequest, type LoadResult } from './autocannon.js';
import { benchOptions } from './options.js';
import { machine, machineLine, markdownTable, quietLoad, writeDocument, writeResults } from './results.js';

const CLIENTS = 32;
const PICTURES = 8;
const REQUESTS = 10_000;
/** Answers in a batch differ from those alone by rounding. */
const TOLERANCE = 1e-3;

interface Prediction {
  scores: number[];
  boxes: number[][];
}

/** Starts the server in a process of its own. */
async function start(folder: string, threads: number): Promise<{ child: ChildProcess; url: string }> {
  const program = join(packageRoot(), 'bin', 'tfgeo-train.mjs');
  const args = [program, 'serve', folder, '--port', '0', '--threads', String(threads)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, url: /http:\/\/\S+/.exec(line)![0] };
}

async function bodies(): Promise<string[]> {
  return Promise.all(
    Array.from({ length: PICTURES }, async (_, i) => {
      const { image } = generateScene(i, { size: 160 });
      const raw = { width: image.width, height: image.height, channels: 3 } as const;
      const jpeg = await sharp(image.data, { raw }).jpeg({ quality: 90 }).toBuffer();
      return JSON.stringify({ instances: [{ image_bytes: { b64: jpeg.toString('base64') } }] });
    }),
  );
}

async function ask(url: string, body: string): Promise<Prediction> {
  const answer = await fetch(`${url}:predict`, { method: 'POST', body });
  return parse(await answer.text());
}

function parse(text: string): Prediction {
  return (JSON.parse(text) as { predictions: [Prediction] }).predictions[0];
}

/** Whether two answers are the same picture's; rows of nearly the same score may change places. */
function agree(a: Prediction, b: Prediction): boolean {
  const best = a.boxes[0]!.every((side, i) => Math.abs(side - b.boxes[0]![i]!) <= 1);
  return best && a.scores.every((score, i) => Math.abs(score - b.scores[i]!) <= TOLERANCE);
}

/** @returns autocannon's figures; throws where an answer was lost or another's */
async function bombard(url: string, requests: LoadRequest[]): Promise<LoadResult> {
  let client = 0;
  const result = await autocannon({
    url,
    connections: CLIENTS,
    amount: REQUESTS,
    requests,
    timeout: 60,
    // Each begins with another request, so that neighbours in a batch differ.
    setupClient: (each) => {
      const first = client++ % requests.length;
      each.setRequests([...requests.slice(first), ...requests.slice(0, first)]);
    },
  });
  const { errors, timeouts, non2xx } = result;
  if (errors + timeouts + non2xx > 0) {
    throw new UserError(`bench: ${errors} errors, ${timeouts} time-outs, ${non2xx} refusals`);
  }
  return result;
}

const { threads, anyway } = benchOptions();
const before = quietLoad(anyway);
const root = mkdtempSync(join(tmpdir(), 'tfgeo-bench-serve-'));
let child: ChildProcess | null = null;
try {
  await ready({ engine: 'tensorflow', intraThreads: threads });
  const source = await load();
  const options = { input: 'encoded', prompts: ['white ships'], check: false } as const;
  await exportModel(source, join(root, 'tiny'), options);
  source.dispose();
  const server = await start(join(root, 'tiny'), threads);
  child = server.child;
  const { url } = server;
  const sent = await bodies();
  const expected: Prediction[] = [];
  for (const body of sent) expected.push(await ask(url, body));
  let right = 0;
  const { pathname } = new URL(url);
  const predicted = await bombard(
    url,
    sent.map((body, i) => ({
      method: 'POST',
      path: `${pathname}:predict`,
      body,
      onResponse: (status, text) => {
        if (status === 200 && agree(expected[i]!, parse(text))) right++;
      },
    })),
  );
  if (right !== REQUESTS)
    throw new UserError(`bench: ${REQUESTS - right} of ${REQUESTS} answers were lost or wrong`);
  const status = await bombard(url, [{ method: 'GET', path: pathname }]);
  const where = machine(before, threads, {});
  const rows = [
    ['predict', predicted],
    ['status', status],
  ] as const;
  const table = markdownTable(
    ['request', 'clients', 'requests', 'per second', 'median ms', 'p99 ms'],
    rows.map(([name, { requests, latency }]) => [
      name,
      String(CLIENTS),
      String(requests.total),
      requests.average.toFixed(0),
      latency.p50.toFixed(0),
      latency.p99.toFixed(0),
    ]),
  );
  console.log(table);
  writeResults('serve', { machine: where, predicted, status });
  const line = `${machineLine(where)} Server and clients share ${availableParallelism()} cores.`;
  console.log(`wrote ${writeDocument('serve', `${table}\n\n${line}`)}`);
} finally {
  child?.kill('SIGTERM');
  rmSync(root, { recursive: true, force: true });
}
