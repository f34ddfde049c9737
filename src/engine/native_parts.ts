// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { folderFault, readManifest, replaceFolder, writeManifest } from './cache.js';
import { cacheRoot, packageRoot, platformArch } from './paths.js';

/** The things that are compiled: two by binding.gyp, the CUDA library by nvcc. */
export type Part = 'addon' | 'ops' | 'cuda';

interface PartRow {
  /** Files it gives, the main one last. */
  products: readonly string[];
  /** What messages call it. */
  called: string;
  /** Whether it uses TensorFlow's C++ ABI, and so serves one version only. */
  perTensorFlow: boolean;
  /** Where a compiled one may lie, in order. */
  places: readonly ('prebuilt' | 'cache')[];
  /** Everything it is made of, under the package's folder. */
  sources(root: string): string[];
}

const gypSources = (root: string, folders: readonly string[]) => [
  join(root, 'binding.gyp'),
  ...folders.flatMap((folder) => filesIn(join(root, folder), /\.(cc|h|inc)$/)),
];

export const PARTS: Readonly<Record<Part, PartRow>> = {
  addon: {
    products: ['tfgeo_loader.node', 'tfgeo_node.node'],
    called: 'the addon',
    perTensorFlow: false,
    places: ['prebuilt', 'cache'],
    sources: (root) => gypSources(root, ['csrc/node']),
  },
  ops: {
    products: ['tfgeo_ops.so'],
    called: 'the operators',
    perTensorFlow: true,
    places: ['prebuilt', 'cache'],
    sources: (root) => gypSources(root, ['csrc/tf', 'csrc/kernels']),
  },
  cuda: {
    products: ['tfgeo_cuda.so'],
    called: 'the CUDA library',
    perTensorFlow: false,
    // One that was compiled here may hold code for this machine's card that the package's has not.
    places: ['cache', 'prebuilt'],
    sources: (root) => withIncludes(cudaUnits(root)),
  },
};

/** A compiled part, ready to load. */
export interface BuiltPart {
  part: Part;
  folder: string;
  /** Its main product. */
  path: string;
  /** Absolute paths of all products. */
  files: string[];
  from: 'prebuilt' | 'cache' | 'built';
  /** GPU code inside, as in "sm_90" or "compute_121"; of the CUDA library only. */
  targets?: string[];
}

/** What nvcc is given: the CUDA sources, and the checks that they share with the CPU kernels. */
export function cudaUnits(root: string): string[] {
  return filesIn(join(root, 'csrc', 'kernels'), /\.cu$|_check\.cc$/);
}

function filesIn(folder: string, pattern: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name))
    .sort();
}

/** The files and all that they include with quotes. */
function withIncludes(files: readonly string[]): string[] {
  const found = new Set(files);
  // A set hands out what is added while it is walked.
  for (const file of found) {
    for (const [, name] of readFileSync(file, 'utf8').matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)) {
      const path = resolve(dirname(file), name!);
      if (existsSync(path)) found.add(path);
    }
  }
  return [...found].sort();
}

export function sourceFiles(root: string, part: Part): string[] {
  return PARTS[part].sources(root);
}

/** Whether there is anything to compile. */
export function hasSources(part: Part): boolean {
  return sourceFiles(packageRoot(), part).some((file) => /\.(cc|cu)$/.test(file));
}

/**
 * Identifies what a build is made of: its sources and, for the op library, the TensorFlow whose C++ ABI it uses.
 * The addon uses only C interfaces that stay, so it serves every Node and every TensorFlow.
 */
export function buildKey(part: Part, tensorflow: string | null, arch: string = process.arch): string {
  const root = packageRoot();
  const hash = createHash('sha256');
  hash.update(`${part} ${platformArch(arch)} ${PARTS[part].perTensorFlow ? tensorflow : ''}`);
  for (const file of sourceFiles(root, part))
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

function placeOf(place: 'prebuilt' | 'cache', part: Part, key: string, arch: string): string {
  return place === 'prebuilt'
    ? join(packageRoot(), 'prebuilds', platformArch(arch), part)
    : join(cacheRoot(), 'native', `${part}-${platformArch(arch)}-${key}`);
}

/** A part that is there already: prebuilt in the package, or in the cache; else null and why. */
export function findPart(
  part: Part,
  tensorflow: string | null,
  arch: string = process.arch,
): { found: BuiltPart | null; reason: string } {
  const key = buildKey(part, tensorflow, arch);
  const reasons: string[] = [];
  for (const place of PARTS[part].places) {
    const folder = placeOf(place, part, key, arch);
    const manifest = readManifest(folder);
    if (manifest === null) {
      reasons.push(`none in ${folder}`);
    } else if (manifest.version !== key) {
      const other = PARTS[part].perTensorFlow ? ' or for another TensorFlow' : '';
      reasons.push(`${folder} was built from other sources${other}`);
    } else {
      const fault = folderFault(folder);
      if (fault === null) return { found: builtPart(part, folder, place), reason: place };
      reasons.push(`${folder}: ${fault}`);
    }
  }
  return { found: null, reason: reasons.join('; ') };
}

function builtPart(part: Part, folder: string, from: BuiltPart['from']): BuiltPart {
  const files = PARTS[part].products.map((name) => join(folder, name));
  const targets = readManifest(folder)?.targets;
  return { part, folder, path: files.at(-1)!, files, from, ...(targets ? { targets } : {}) };
}

/**
 * Moves freshly compiled products into the cache.
 * @param output folder of the products; files of `extra` in it are kept beside them.
 */
export function keepProducts(
  part: Part,
  output: string,
  key: string,
  options: { arch?: string; targets?: string[]; extra?: readonly string[] } = {},
): BuiltPart {
  const folder = placeOf('cache', part, key, options.arch ?? process.arch);
  const temporary = `${folder}.tmp-${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const files: Record<string, number> = {};
    // A copy under a new inode: the linker's output may be mapped by a running process.
    const copy = (name: string) => copyFileSync(join(output, name), join(temporary, name));
    for (const name of PARTS[part].products) {
      copy(name);
      files[name] = statSync(join(temporary, name)).size;
    }
    for (const name of options.extra ?? []) copy(name);
    const { targets } = options;
    writeManifest(temporary, { version: key, files, ...(targets ? { targets } : {}) });
    replaceFolder(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  pruneBuilds(part, options.arch ?? process.arch);
  return builtPart(part, folder, 'built');
}

/** Builds that are kept of each part: other checkouts and versions may still use theirs. */
const KEPT_BUILDS = 6;

function pruneBuilds(part: Part, arch: string): void {
  const folder = join(cacheRoot(), 'native');
  const builds = readdirSync(folder)
    .filter((name) => name.startsWith(`${part}-${platformArch(arch)}-`) && !name.includes('.'))
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of builds.slice(KEPT_BUILDS)) rmSync(path, { recursive: true, force: true });
}

/** Copies compiled parts into the package's `prebuilds/`, for packing. */
export function keepAsPrebuilt(parts: readonly BuiltPart[]): void {
  for (const { part, folder } of parts) {
    const target = placeOf('prebuilt', part, '', process.arch);
    const manifest = readManifest(folder);
    if (folder === target || manifest === null) continue;
    const temporary = `${target}.tmp-${process.pid}`;
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    for (const name of Object.keys(manifest.files)) copyFileSync(join(folder, name), join(temporary, name));
    writeManifest(temporary, manifest);
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
  }
}
