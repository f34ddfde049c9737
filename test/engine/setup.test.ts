// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  cachedFolder,
  fetchLibTensorFlow,
  findLibTensorFlow,
  foreignLibTensorFlow,
  inspectCache,
} from '../../src/engine/libtensorflow.js';
import { buildPart } from '../../src/engine/native_build.js';
import { findPart } from '../../src/engine/native_parts.js';
import { packageRoot } from '../../src/engine/paths.js';
import { repairCache } from '../../src/engine/setup.js';
import { wheelRequirement } from '../../src/engine/wheel.js';
import { fakeLibrary, fakePython, fakeWheel, scratchFolder, writeScript } from './fake_wheel.js';

let folder: string;
let before: NodeJS.ProcessEnv;
beforeEach(() => {
  folder = scratchFolder();
  before = { ...process.env };
  process.env.XDG_CACHE_HOME = join(folder, 'cache');
  delete process.env.TFGEO_LIBTENSORFLOW;
});
afterEach(() => {
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});

const quiet = () => {};

/** Uses a python3 that hands out `wheel`. Returns how many times it was downloaded. */
function usePython(wheel: Buffer): () => number {
  const { path, log } = fakePython(folder, wheel);
  process.env.PATH = `${path}:/usr/bin:/bin`;
  return () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').length : 0);
}

/** Runs a TypeScript snippet in a process of its own, from the repository. */
function runScript(code: string): Promise<{ status: number | null; output: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: packageRoot(),
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, output })));
}

describe('getting libtensorflow', () => {
  it('unpacks libraries and headers only, and is not repeated', async () => {
    const downloads = usePython(fakeWheel());
    const said: string[] = [];
    const library = await fetchLibTensorFlow((line) => said.push(line));
    expect([library.source, library.folder]).toEqual(['download', cachedFolder()]);
    expect(library.include).toBe(join(cachedFolder(), 'include'));
    expect(readdirSync(cachedFolder()).sort()).toEqual([
      'include',
      'libtensorflow_cc.so.2',
      'libtensorflow_framework.so.2',
      'tfgeo-manifest.json',
    ]);
    expect(said).toHaveLength(1);
    expect((await fetchLibTensorFlow(quiet)).source).toBe('cache');
    expect((await findLibTensorFlow()).found?.source).toBe('cache');
    expect(downloads()).toBe(1);
    expect(readdirSync(dirname(cachedFolder())).filter((name) => /unpack|lock|tmp/.test(name))).toEqual([]);
  });

  it('repairs a library that is cut short, one that is missing, and a half-unpacked folder', async () => {
    const downloads = usePython(fakeWheel());
    await fetchLibTensorFlow(quiet);
    const damages = [
      () => truncateSync(join(cachedFolder(), 'libtensorflow_cc.so.2'), 100),
      () => rmSync(join(cachedFolder(), 'libtensorflow_framework.so.2')),
      () => rmSync(join(cachedFolder(), 'tfgeo-manifest.json')),
    ];
    for (const damage of damages) {
      damage();
      expect(inspectCache()).toContain('damaged');
      expect((await findLibTensorFlow()).found).toBeNull();
      await fetchLibTensorFlow(quiet);
      expect(inspectCache(true)).toMatchObject({ source: 'cache' });
    }
    expect(downloads()).toBe(1 + damages.length);
    rmSync(join(cachedFolder(), 'include', 'tensorflow', 'c', 'c_api.h'));
    expect(inspectCache(true)).toContain('c_api.h is missing');
  });

  it('notices changed bytes of the right number when asked to read them', async () => {
    usePython(fakeWheel());
    await fetchLibTensorFlow(quiet);
    expect(await repairCache(quiet)).toBe(false);
    const changed = fakeLibrary(200_000);
    changed[150_000] = 9;
    writeFileSync(join(cachedFolder(), 'libtensorflow_cc.so.2'), changed);
    expect(typeof inspectCache()).toBe('object');
    const said: string[] = [];
    expect(await repairCache((line) => said.push(line))).toBe(true);
    expect(said[0]).toContain('the contents of libtensorflow_cc.so.2 have changed');
    expect(inspectCache()).toBe('nothing was downloaded yet');
  });

  it('downloads once when two processes set up at the same time', async () => {
    const downloads = usePython(fakeWheel());
    const code = `
      const { fetchLibTensorFlow } = await import('./src/engine/libtensorflow.ts');
      const library = await fetchLibTensorFlow((line) => console.log(line));
      console.log('got', library.folder);`;
    const results = await Promise.all([runScript(code), runScript(code), runScript(code)]);
    for (const { status, output } of results)
      expect([status, output]).toEqual([0, expect.stringContaining('got')]);
    expect(downloads()).toBe(1);
    expect(inspectCache(true)).toMatchObject({ source: 'cache' });
  });

  it('leaves nothing half-done behind when the wheel is broken', async () => {
    const whole = fakeWheel();
    usePython(whole.subarray(0, whole.length - 100));
    await expect(fetchLibTensorFlow(quiet)).rejects.toThrow('not a complete zip file');
    expect(readdirSync(dirname(cachedFolder()))).toEqual([]);
    usePython(fakeWheel({ 'tensorflow/libtensorflow_cc.so.2': new Uint8Array(0) }));
    await expect(fetchLibTensorFlow(quiet)).rejects.toThrow('is not a shared library');
  });

  it('says in one sentence what is missing', async () => {
    process.env.PATH = folder;
    await expect(fetchLibTensorFlow(quiet)).rejects.toThrow(
      /no python3 with pip on PATH; install them, or unpack/,
    );
    writeScript(
      join(folder, 'python3'),
      `case "$*" in *"import pip"*) exit 0;; *) echo "ERROR: no route to host" >&2; exit 1;; esac`,
    );
    await expect(fetchLibTensorFlow(quiet)).rejects.toThrow(
      `pip could not download ${wheelRequirement()} (ERROR: no route to host); check the network`,
    );
    rmSync(join(folder, 'cache'), { recursive: true, force: true });
    writeFileSync(join(folder, 'cache'), 'a file where the cache should be');
    await expect(fetchLibTensorFlow(quiet)).rejects.toThrow(
      /cache folder .* cannot be written .*XDG_CACHE_HOME/,
    );
  });

  it('asks pip for a wheel by its tags when this Python has none', async () => {
    const inner = fakePython(folder, fakeWheel());
    const path = join(folder, 'old-python');
    mkdirSync(path);
    writeScript(
      join(path, 'python3'),
      `case "$*" in *--abi*) ;; *"pip download"*) echo "ERROR: No matching distribution found" >&2; exit 1;; esac
exec '${join(inner.path, 'python3')}' "$@"`,
    );
    process.env.PATH = `${path}:/usr/bin:/bin`;
    expect((await fetchLibTensorFlow(quiet)).source).toBe('download');
    expect(existsSync(inner.log)).toBe(true);
  });
});

describe('looking for libtensorflow', () => {
  it('keeps the order, and a reason for every refusal', async () => {
    usePython(fakeWheel());
    const own = join(folder, 'own');
    process.env.TFGEO_LIBTENSORFLOW = own;
    const reasons = async () =>
      (await findLibTensorFlow()).attempts.map(({ source, reason }) => [source, reason]);
    expect(await reasons()).toEqual([
      ['TFGEO_LIBTENSORFLOW', 'there is no such folder'],
      ['python', 'it is not installed'],
      ['cache', 'nothing was downloaded yet'],
    ]);
    mkdirSync(own);
    expect((await reasons())[0]).toEqual([
      'TFGEO_LIBTENSORFLOW',
      'it does not hold libtensorflow_framework.so.2 and libtensorflow_cc.so.2',
    ]);
    writeFileSync(join(own, 'libtensorflow_framework.so.2'), '');
    writeFileSync(join(own, 'libtensorflow_cc.so.2'), fakeLibrary());
    expect((await reasons())[0]![1]).toContain('is not a shared library');
    writeFileSync(join(own, 'libtensorflow_framework.so.2'), fakeLibrary(5000, 20));
    expect((await reasons())[0]![1]).toContain('is built for another kind of processor');
    writeFileSync(join(own, 'libtensorflow_framework.so.2'), fakeLibrary());
    expect(await reasons()).toEqual([['TFGEO_LIBTENSORFLOW', 'it holds the libraries']]);
    expect((await findLibTensorFlow(new Set([own]))).attempts[0]!.reason).toBe('loading it failed');
  });

  it("uses Python's package if it is new enough", async () => {
    const site = join(folder, 'site', 'tensorflow');
    mkdirSync(site, { recursive: true });
    for (const name of ['libtensorflow_framework.so.2', 'libtensorflow_cc.so.2']) {
      writeFileSync(join(site, name), fakeLibrary());
    }
    const answer = (version: string) => {
      const path = join(folder, `python-${version}`);
      mkdirSync(path);
      writeScript(join(path, 'python3'), `echo '${JSON.stringify({ folder: site, version })}'`);
      process.env.PATH = `${path}:/usr/bin:/bin`;
      return findLibTensorFlow();
    };
    expect((await answer('2.15.1')).attempts[1]!.reason).toBe(
      'it is TensorFlow 2.15.1, and tfgeo needs 2.16 or newer',
    );
    expect((await answer('2.18.0')).found).toMatchObject({
      source: 'python',
      folder: site,
      version: '2.18.0',
    });
    rmSync(site, { recursive: true });
    expect((await findLibTensorFlow()).found).toBeNull();
  });

  it('sees no foreign libtensorflow in a process that has none', () => {
    expect(foreignLibTensorFlow(null) === null || /libtensorflow/.test(foreignLibTensorFlow(null)!)).toBe(
      true,
    );
  });
});

describe('compiling', () => {
  const library = () => {
    const own = join(folder, 'own');
    mkdirSync(join(own, 'include', 'tensorflow', 'c'), { recursive: true });
    return {
      source: 'TFGEO_LIBTENSORFLOW' as const,
      folder: own,
      libraries: [join(own, 'a'), join(own, 'b')] as [string, string],
      include: join(own, 'include'),
      version: '2.21.0',
    };
  };

  it('says in one sentence that there is no Python, no make, no compiler, no headers', async () => {
    const build = () => buildPart('ops', library(), '0.0.0', quiet);
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    process.env.PATH = bin;
    await expect(build()).rejects.toThrow(
      'the operators cannot be compiled because node-gyp found no Python; install python3',
    );
    const python = (before.PATH ?? '').split(':').map((path) => join(path, 'python3'));
    symlinkSync(
      python.filter((path) => !path.includes('shims')).find((path) => existsSync(path))!,
      join(bin, 'python3'),
    );
    symlinkSync(process.execPath, join(bin, 'node'));
    for (const tool of ['sh', 'uname', 'cat', 'sed']) symlinkSync(join('/bin', tool), join(bin, tool));
    await expect(build()).rejects.toThrow('the operators cannot be compiled because there is no make');
    symlinkSync('/usr/bin/make', join(bin, 'make'));
    for (const tool of ['mkdir', 'rm', 'touch', 'printf', 'echo', 'dirname', 'grep', 'ln', 'cp']) {
      if (existsSync(join('/bin', tool))) symlinkSync(join('/bin', tool), join(bin, tool));
    }
    await expect(build()).rejects.toThrow(
      'the operators cannot be compiled because there is no C++ compiler',
    );
    await expect(buildPart('ops', { ...library(), include: null }, '0.0.0', quiet)).rejects.toThrow(
      'has no TensorFlow headers to compile against',
    );
  });

  it('remembers sources that do not compile until they change or setup is asked', async () => {
    const build = (retry = false) =>
      buildPart('ops', library(), '0.0.0', (line) => said.push(line), { retry });
    const said: string[] = [];
    await expect(build()).rejects.toThrow(
      /the operators did not compile \(.*csrc\/.*:\d+.*error.*build\.log/,
    );
    await expect(build()).rejects.toThrow(/did not compile/);
    expect(said).toHaveLength(1);
    await expect(build(true)).rejects.toThrow(/did not compile/);
    expect(said).toHaveLength(2);
  });

  it('does not take a part that was compiled for another TensorFlow, or is damaged', () => {
    process.env = before;
    const { found } = findPart('addon', null);
    expect(found?.files).toHaveLength(2);
    expect(findPart('ops', '0.0.0')).toMatchObject({ found: null });
  });
});

describe('ready without what it needs', () => {
  const code = `
    const { ready, currentEngine } = await import('./src/engine/index.ts');
    const tf = await import('@tensorflow/tfjs');
    const info = await ready();
    console.log('ENGINE', info.engine, tf.add(1, 2).dataSync()[0]);`;

  it('falls back to the cpu engine and says why in one line', async () => {
    mkdirSync(join(folder, 'empty'));
    process.env.PATH = join(folder, 'empty');
    const { status, output } = await runScript(code);
    expect(output.trim().split('\n')).toEqual([
      expect.stringMatching(
        /^tfgeo: engine cpu, which is slow, because TensorFlow cannot be fetched because there is no python3/,
      ),
      'ENGINE cpu 3',
    ]);
    expect(status).toBe(0);
  });

  it('throws when engine tensorflow was asked for by name', async () => {
    mkdirSync(join(folder, 'empty'));
    process.env.PATH = join(folder, 'empty');
    const { status, output } = await runScript(code.replace('ready()', "ready({ engine: 'tensorflow' })"));
    expect(status).not.toBe(0);
    expect(output).toContain('no python3 with pip on PATH');
  });

  it('runs in several threads of one process, each with tensors of its own', async () => {
    process.env = { ...before };
    const { status, output } = await runScript(`
      import { Worker } from 'node:worker_threads';
      const { findLibTensorFlow } = await import('./src/engine/libtensorflow.ts');
      const { findPart } = await import('./src/engine/native_parts.ts');
      const { loadNative } = await import('./src/engine/load.ts');
      const addon = findPart('addon', null).found;
      const binding = loadNative((await findLibTensorFlow()).found, addon, 2);
      binding.createTensor([1], 1, new Float32Array(1));
      const work = \`
        const { parentPort, workerData } = require('node:worker_threads');
        const binding = require(workerData);
        const x = binding.createTensor([2], 1, new Float32Array([1, 2]));
        let y = x;
        for (let i = 0; i < 500; i++) y = binding.executeOp('AddV2', [], [y, x], 1)[0].id;
        parentPort.postMessage([binding.getNumOfTensors(), ...binding.tensorDataSync(y)]);\`;
      const run = () => new Promise((resolve, reject) => {
        const worker = new Worker(work, { eval: true, execArgv: [], workerData: addon.path });
        worker.on('error', reject);
        let answer;
        worker.on('message', (message) => { answer = message; });
        worker.on('exit', () => resolve(answer));
      });
      for (let round = 0; round < 3; round++) console.log(JSON.stringify(await Promise.all([run(), run(), run()])));
      console.log(binding.getNumOfTensors());`);
    const answers = JSON.stringify(Array(3).fill([501, 501, 1002]));
    expect(output.trim().split('\n')).toEqual([answers, answers, answers, '1']);
    expect(status).toBe(0);
  });

  it('refuses a second libtensorflow in one process', async () => {
    const found = before.TFGEO_LIBTENSORFLOW;
    process.env = { ...before };
    if (found === undefined) delete process.env.TFGEO_LIBTENSORFLOW;
    const other = join(folder, 'other');
    mkdirSync(other);
    const twice = `
      import { copyFileSync, mkdirSync } from 'node:fs';
      const { findLibTensorFlow } = await import('./src/engine/libtensorflow.ts');
      const { findPart } = await import('./src/engine/native_parts.ts');
      const { loadNative } = await import('./src/engine/load.ts');
      const { found } = await findLibTensorFlow();
      const addon = findPart('addon', null).found;
      loadNative(found, addon, 2);
      const libraries = found.libraries.map((path) => '${other}/' + path.split('/').at(-1));
      libraries.forEach((path) => copyFileSync('/bin/true', path));
      try { loadNative({ ...found, libraries }, addon, 2); } catch (error) { console.log(error.message); }`;
    const { output } = await runScript(twice);
    expect(output).toMatch(
      /this process has already loaded another TensorFlow \(.*libtensorflow.*\), and two cannot live together/,
    );
  });
});
