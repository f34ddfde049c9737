// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { publint } from 'publint';
import sharp from 'sharp';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tfgeo-pack-'));
const prebuilds = join(root, 'prebuilds');
const hadPrebuilds = existsSync(prebuilds);
let tarball = '';
let packed: string[] = [];

/** Settings that npm hands to its scripts would reach the npm that is tried here. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, env: environment, encoding: 'utf8', maxBuffer: 1 << 26 });
}

beforeAll(() => {
  run(root, 'npm', 'run', 'build');
  const [report] = Object.values(
    JSON.parse(run(root, 'npm', 'pack', '--json', '--pack-destination', folder)),
  ) as {
    filename: string;
    files: { path: string }[];
  }[];
  tarball = join(folder, report!.filename);
  packed = report!.files.map(({ path }) => path);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  // What is prebuilt goes before what is compiled, so that the next tests would not see changed sources compiled.
  if (!hadPrebuilds) rmSync(prebuilds, { recursive: true, force: true });
});

describe('the package', () => {
  it('holds what is needed to run, and its licences', () => {
    for (const path of [
      'LICENSE',
      'NOTICE',
      'README.md',
      'CHANGELOG.md',
      'binding.gyp',
      'csrc/node/addon.cc',
      'dist/src/index.js',
      'dist/src/index.d.ts',
      'bin/tfgeo-train.mjs',
      'dist/bin/tfgeo-train.js',
      'dist/vendor/tfjs_node_kernels.cjs',
      'dist/vendor/LICENSE-tfjs-node.txt',
      'dist/vendor/NOTICE',
      'models/mdetr-g-tiny/config.json',
      'models/mdetr-g-tiny/model.safetensors',
      'models/mdetr-g-tiny/tokenizer.json',
      'models/mdetr-g-tiny/README.md',
      'models/mdetr-g-minilm-tiny/config.json',
      'models/mdetr-g-minilm-tiny/model.safetensors',
      'models/mdetr-g-minilm-tiny/tokenizer.json',
      'models/mdetr-g-minilm-tiny/README.md',
    ])
      expect(packed).toContain(path);
    expect(packed.some((path) => /^prebuilds\/.*\/addon\/tfgeo_node\.node$/.test(path))).toBe(true);
  });

  it('holds nothing else', () => {
    const strangers = packed.filter(
      (path) =>
        !/^(dist\/(src|bin|vendor)|csrc|models\/mdetr-g-(tiny|minilm-tiny)|prebuilds)\//.test(path) &&
        !/^(package\.json|bin\/tfgeo-train\.mjs|binding\.gyp|LICENSE|NOTICE|README\.md|CHANGELOG\.md)$/.test(
          path,
        ),
    );
    expect(strangers).toEqual([]);
    expect(packed.filter((path) => /test|fixtures|\.bundle-|\.tmp/.test(path))).toEqual([]);
  });

  it('satisfies publint', async () => {
    const { messages } = await publint({ pkgDir: root, strict: true });
    expect(messages).toEqual([]);
  });
});

/** A program that detects on a picture that it makes, as the first one of a user. */
const PROGRAM = `
import { load, ready } from 'tfgeo';
import * as tf from '@tensorflow/tfjs';
const { engine, tensorflow } = await ready();
const model = await load();
const { boxes, scores, phrases } = await model.detect('picture.png', 'the red ships', { threshold: 0 });
const fromTensor = await model.detect(tf.fill([96, 96, 3], 90), 'white tanks', { threshold: 0.05 });
console.log(JSON.stringify({
  engine,
  backend: tf.getBackend(),
  from: tensorflow.opLibrary.from,
  boxes: boxes.length,
  finite: [...boxes.flat(), ...scores].every(Number.isFinite),
  phrases: phrases.every((phrase) => 'the red ships'.includes(phrase.split(' ')[0])),
  fromTensor: Array.isArray(fromTensor.boxes),
}));
`;

/** Code blocks of the documents, as files of the user's project. */
function documentedPrograms(): Record<string, string> {
  const blocks = ['README.md', 'docs/library.md'].flatMap((name) =>
    [...readFileSync(join(root, name), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!),
  );
  return Object.fromEntries(blocks.map((code, i) => [`documented_${i}.ts`, code]));
}

describe.each([
  ['the npm at hand', ['npm']],
  ['npm 10', ['npx', '--yes', 'npm@10']],
] as const)('installed with %s into an empty project', (_, [command, ...prefix]) => {
  const project = join(folder, prefix.length === 0 ? 'project' : 'project-10');

  beforeAll(() => {
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{ "name": "user", "private": true, "type": "module" }\n');
    run(project, command, ...prefix, 'install', '--no-audit', '--no-fund', tarball);
  });

  it('brings no install script and no tfjs-node', () => {
    const lock = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const names = Object.keys(lock.packages);
    expect(names).toContain('node_modules/@tensorflow/tfjs');
    expect(names.filter((name) => /tfjs-node/.test(name))).toEqual([]);
    // core-js, which @tensorflow/tfjs brings, prints an advertisement.
    const scripts = names.filter((name) => lock.packages[name]!.hasInstallScript);
    expect(scripts.filter((name) => !name.endsWith('/core-js'))).toEqual([]);
  });

  it('imports and detects', async () => {
    const create = { width: 96, height: 96, channels: 3, background: '#4a6a8a' } as const;
    const ship = { width: 30, height: 12, channels: 3, background: '#c02020' } as const;
    await sharp({ create })
      .composite([{ input: { create: ship }, left: 30, top: 40 }])
      .png()
      .toFile(join(project, 'picture.png'));
    writeFileSync(join(project, 'program.mjs'), PROGRAM);
    const result = JSON.parse(run(project, 'node', 'program.mjs').trim().split('\n').at(-1)!);
    expect(result).toEqual({
      engine: 'tensorflow',
      backend: 'tensorflow',
      from: 'prebuilt',
      boxes: expect.any(Number),
      finite: true,
      phrases: true,
      fromTensor: true,
    });
    expect(result.boxes).toBeGreaterThan(0);
  });

  it('has the command', () => {
    const args = ['detect', 'picture.png', '-p', 'white tanks', '-o', 'found.json'];
    expect(run(project, 'npx', 'tfgeo-train', ...args)).toContain('written: found.json');
    expect(existsSync(join(project, 'found.json'))).toBe(true);
  });

  it('has the types that its documents use', () => {
    const programs = documentedPrograms();
    expect(Object.keys(programs).length).toBeGreaterThanOrEqual(3);
    for (const [name, code] of Object.entries(programs)) writeFileSync(join(project, name), code);
    const settings = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2023', '--module', 'nodenext'];
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')];
    const files = readdirSync(project).filter((name) => name.endsWith('.ts'));
    expect(run(project, 'node', compiler, ...settings, ...types, '--ignoreConfig', ...files)).toBe('');
  });
});
