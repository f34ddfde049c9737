// SPDX-License-Identifier: Apache-2.0
/**
 * Which part of the project may import which; `npm run lint` runs this. See docs/architecture.md.
 *
 *   npx tsx tools/import_law.ts [FOLDER]
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Files directly in `src/` that everything may use; they import nothing but each other. */
const FOUNDATION = [
  'errors',
  'random',
  'files',
  'data_wheel',
  'file_reader',
  'package',
  'protobuf',
  'tfrecord',
  'zip',
];

/**
 * What each part may import, the foundation and itself apart. Parts below one line of the design stand side by side;
 * what they take from each other is listed with its reason.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  foundation: [],
  engine: [],
  ops: ['engine'],
  models: ['ops', 'engine'],
  geo: ['models', 'ops', 'engine'],
  // viz draws the pictures and boxes that geo defines.
  viz: ['geo', 'models', 'ops', 'engine'],
  // train reads rasters and cuts windows (geo), and draws curves and samples into its run folder (viz).
  train: ['geo', 'viz', 'models', 'ops', 'engine'],
  export: ['models', 'ops', 'engine'],
  // serving reads what export has written.
  serving: ['export', 'models', 'ops', 'engine'],
  // src/detector.ts and src/index.ts: the library's face.
  face: ['serving', 'train', 'export', 'geo', 'viz', 'models', 'ops', 'engine'],
  bin: ['face', 'serving', 'train', 'export', 'geo', 'viz', 'models', 'ops', 'engine'],
};

/** The same for the folders of `csrc/`. */
const MAY_INCLUDE: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  tf: ['kernels'],
  node: ['kernels'],
  // dev/cuda_op.cc runs the operators on other kernels.
  dev: ['kernels', 'tf'],
};

/** Headers that the mathematics must not know. */
const FOREIGN_HEADERS = /^(tensorflow|absl|node_api|napi|uv|v8|node)\b/;

/** Every breach of the law under `root` as `file: what is wrong`. */
export function findBreaches(root: string): string[] {
  const sources = ['src', 'bin'].flatMap((folder) => filesIn(join(root, folder), /\.ts$/));
  const native = filesIn(join(root, 'csrc'), /\.(cc|cu|cuh|h)$/);
  if (sources.length === 0) return [`${root}: there is nothing to check`];
  return [
    ...sources.flatMap((file) => importBreaches(root, file)),
    ...native.flatMap((file) => includeBreaches(root, file)),
    ...cycles(root, sources),
  ];
}

function filesIn(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name))
    .sort();
}

interface Import {
  /** Absolute path of the TypeScript file. */
  target: string;
  /** `import type`: gone when the program runs. */
  erased: boolean;
}

const STATEMENT =
  /^(?:import|export)\s+(type\s)?[^'";()]*?\bfrom\s*'(\.[^']*)'|\bimport\s*\(?\s*'(\.[^']*)'/gm;

/** Relative imports of a file. */
function importsOf(file: string): Import[] {
  const found = readFileSync(file, 'utf8').matchAll(STATEMENT);
  return [...found].map(([, type, from, direct]) => ({
    target: resolve(dirname(file), (from ?? direct)!).replace(/\.js$/, '.ts'),
    erased: type !== undefined,
  }));
}

function importBreaches(root: string, file: string): string[] {
  const name = relative(root, file);
  const part = partOf(root, file);
  return importsOf(file).flatMap(({ target }) => {
    const other = partOf(root, target);
    const to = relative(root, target);
    if (part === null || other === null) return [`${name}: imports ${to}, which is no part of the library`];
    if (!(other === part || other === 'foundation' || MAY_IMPORT[part]!.includes(other)))
      return [`${name}: ${part} may not import ${other} (${to})`];
    const door = doorOf(root, target);
    if (door === null || door === target || isInside(file, door)) return [];
    return [`${name}: imports ${to} around its index, ${relative(root, door)}`];
  });
}

/** The part a file belongs to; null outside `src/` and `bin/`. */
function partOf(root: string, file: string): string | null {
  const [top, second, ...rest] = relative(root, file).split(sep);
  if (top === 'bin') return 'bin';
  if (top !== 'src' || second === undefined) return null;
  if (rest.length > 0) return Object.hasOwn(MAY_IMPORT, second) ? second : null;
  return FOUNDATION.includes(second.replace(/\.ts$/, '')) ? 'foundation' : 'face';
}

/** The index that guards a file: that of the nearest folder that has one. Contracts (`types.ts`) need no door. */
function doorOf(root: string, file: string): string | null {
  if (file.endsWith(`${sep}types.ts`)) return null;
  for (let folder = dirname(file); folder !== root && folder !== dirname(folder); folder = dirname(folder)) {
    const door = join(folder, 'index.ts');
    // The face of the whole library guards nothing inside it.
    if (existsSync(door) && folder !== join(root, 'src')) return door;
  }
  return null;
}

/** Whether a file lies behind a door: in the folder it guards. */
function isInside(file: string, door: string): boolean {
  return file.startsWith(dirname(door) + sep);
}

function includeBreaches(root: string, file: string): string[] {
  const name = relative(root, file);
  const part = relative(join(root, 'csrc'), file).split(sep)[0]!;
  const includes = [...readFileSync(file, 'utf8').matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm)];
  return includes.flatMap(([, quote, path]) => {
    if (part === 'kernels' && FOREIGN_HEADERS.test(path!))
      return [`${name}: csrc/kernels knows neither TensorFlow nor Node, but includes ${path}`];
    const target = quote === '"' ? resolve(dirname(file), path!) : null;
    if (target === null || !existsSync(target)) return [];
    const other = relative(join(root, 'csrc'), target).split(sep)[0]!;
    return other === part || MAY_INCLUDE[part]?.includes(other)
      ? []
      : [`${name}: csrc/${part} may not include csrc/${other} (${path})`];
  });
}

/** Import cycles that exist when the program runs, as the files in order. */
function cycles(root: string, files: readonly string[]): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) {
      const names = [...path.slice(start), file].map((entry) => relative(root, entry));
      found.push(`${names[0]}: import cycle: ${names.join(' -> ')}`);
    }
    if (start >= 0 || done.has(file) || !existsSync(file)) return;
    for (const { target, erased } of importsOf(file)) if (!erased) walk(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'));
  const breaches = findBreaches(root);
  for (const breach of breaches) console.error(breach);
  if (breaches.length > 0) process.exitCode = 1;
  else console.log('import law: kept');
}
