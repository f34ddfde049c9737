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
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import {
  folderFault,
  readManifest,
  replaceFolder,
  withLock,
  writeAtomically,
  writeManifest,
} from './cache.js';
import type { LibTensorFlow } from './libtensorflow.js';
import { requireWritableCache } from './libtensorflow.js';
import { cacheRoot, packageRoot, platformArch } from './paths.js';
import { lastLine, runCommand } from './process.js';

/** The two things that are compiled; see binding.gyp. */
export type Part = 'addon' | 'ops';

const PRODUCTS: Record<Part, string[]> = {
  addon: ['tfgeo_loader.node', 'tfgeo_node.node'],
  ops: ['tfgeo_ops.so'],
};
const MAIN_PRODUCT: Record<Part, string> = { addon: 'tfgeo_node.node', ops: 'tfgeo_ops.so' };
const SOURCES: Record<Part, string[]> = { addon: ['csrc/node'], ops: ['csrc/tf', 'csrc/kernels'] };

/** A compiled part, ready to load. */
export interface BuiltPart {
  part: Part;
  folder: string;
  /** Its main product. */
  path: string;
  /** Absolute paths of all products. */
  files: string[];
  from: 'prebuilt' | 'cache' | 'built';
}

function sourceFiles(root: string, part: Part): string[] {
  const files: string[] = [];
  const walk = (folder: string) => {
    if (!existsSync(folder)) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (/\.(cc|h|inc)$/.test(entry.name)) files.push(path);
    }
  };
  for (const folder of SOURCES[part]) walk(join(root, folder));
  return [join(root, 'binding.gyp'), ...files.sort()];
}

function builtPart(part: Part, folder: string, from: BuiltPart['from']): BuiltPart {
  const files = PRODUCTS[part].map((name) => join(folder, name));
  return { part, folder, path: join(folder, MAIN_PRODUCT[part]), files, from };
}

/** Whether there is anything to compile. */
export function hasSources(part: Part): boolean {
  return sourceFiles(packageRoot(), part).some((file) => file.endsWith('.cc'));
}

/**
 * Identifies what a build is made of: its sources and, for the op library, the TensorFlow whose C++ ABI it uses.
 * The addon uses only C interfaces that stay, so it serves every Node and every TensorFlow.
 */
export function buildKey(part: Part, tensorflow: string | null): string {
  const root = packageRoot();
  const hash = createHash('sha256');
  hash.update(`${part} ${platformArch()} ${part === 'ops' ? tensorflow : ''}`);
  for (const file of sourceFiles(root, part))
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

function prebuiltFolder(): string {
  return join(packageRoot(), 'prebuilds', platformArch());
}

function cachedBuildFolder(part: Part, key: string): string {
  return join(cacheRoot(), 'native', `${part}-${platformArch()}-${key}`);
}

/** A part that is there already: prebuilt in the package, or in the cache; else null and why. */
export function findPart(part: Part, tensorflow: string | null): { found: BuiltPart | null; reason: string } {
  const key = buildKey(part, tensorflow);
  const places: [BuiltPart['from'], string][] = [
    ['prebuilt', join(prebuiltFolder(), part)],
    ['cache', cachedBuildFolder(part, key)],
  ];
  const reasons: string[] = [];
  for (const [from, folder] of places) {
    const manifest = readManifest(folder);
    if (manifest === null) {
      reasons.push(`none in ${folder}`);
    } else if (manifest.version !== key) {
      reasons.push(`${folder} was built from other sources or for another TensorFlow`);
    } else {
      const fault = folderFault(folder);
      if (fault === null) {
        return { found: builtPart(part, folder, from), reason: from };
      }
      reasons.push(`${folder}: ${fault}`);
    }
  }
  return { found: null, reason: reasons.join('; ') };
}

/** Folder that holds include/node/node_api.h. Node-API is stable, so any Node's headers serve. */
function nodeHeaders(): string | null {
  const prefixes = [dirname(dirname(process.execPath)), '/usr', '/usr/local'];
  return prefixes.find((prefix) => existsSync(join(prefix, 'include', 'node', 'node_api.h'))) ?? null;
}

/**
 * Compiles a part into the cache, or returns it if another process has done so meanwhile. Sources that did not compile
 * are not tried again unless `retry` says so.
 * @throws UserError in one sentence, naming the file with the compiler's output.
 */
export async function buildPart(
  part: Part,
  library: LibTensorFlow,
  tensorflow: string | null,
  say: (line: string) => void,
  retry = false,
): Promise<BuiltPart> {
  const root = requireWritableCache();
  const key = buildKey(part, tensorflow);
  const failure = join(root, 'native', `${part}-${platformArch()}-${key}.failed`);
  if (!retry && existsSync(failure)) throw engineError(readFileSync(failure, 'utf8'));
  return withLock(join(root, `build-${part}.lock`), async () => {
    const { found } = findPart(part, tensorflow);
    if (found !== null) return found;
    say(part === 'addon' ? 'compiling the addon (once) ...' : 'compiling the operators (once) ...');
    rmSync(failure, { force: true });
    const built = await compile(part, library, key, failure);
    pruneBuilds(part);
    return built;
  });
}

async function compile(part: Part, library: LibTensorFlow, key: string, failure: string): Promise<BuiltPart> {
  if (library.include === null) {
    throw engineError(
      `${library.folder} has no TensorFlow headers to compile against; unset TFGEO_LIBTENSORFLOW, or set it to a ` +
        'folder with an include folder in it',
    );
  }
  const work = syncWorkFolder(part);
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const log = join(work, 'build.log');
  const headers = nodeHeaders();
  const settings = [`-Dtfgeo_part=${part}`, `-Dtf_include=${library.include}`, `-Dtf_lib=${library.folder}`];
  const steps = [
    ['configure', ...(headers === null ? [] : [`--nodedir=${headers}`]), '--', ...settings],
    ['build', '--jobs', String(Math.max(1, Math.min(8, cpus().length)))],
  ];
  let output = '';
  for (const step of steps) {
    const result = await runCommand(process.execPath, [nodeGyp, ...step], {
      cwd: work,
      env: compilerEnvironment(),
    });
    output += result.stdout + result.stderr;
    if (result.status !== 0) {
      writeFileSync(log, output);
      const { message, fromSources } = explainFailure(part, result.stderr + result.stdout, log);
      // Sources that don't compile won't until they change; a missing tool may be there next time.
      if (fromSources) writeAtomically(failure, message);
      throw engineError(message);
    }
  }
  writeFileSync(log, output);
  return keepProducts(part, work, key);
}

/** npm passes its own settings to node-gyp through the environment; this build names all of its own. */
function compilerEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name));
  return Object.fromEntries(entries);
}

/** What node-gyp and the compiler say when a tool is missing, and what to do about it. */
const MISSING_TOOLS: readonly [RegExp, string][] = [
  [/gyp ERR! find Python|Could not find any Python/, 'node-gyp found no Python; install python3'],
  [/make: not found|spawn make ENOENT|not found: make/, 'there is no make; install make and g++'],
  [
    /(c\+\+|g\+\+|cc|gcc|clang): (command )?(not found|No such)/,
    'there is no C++ compiler; install g++ (12 or newer)',
  ],
  [
    /getaddrinfo|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|EAI_AGAIN|ENOTFOUND/,
    "Node's headers are not installed and could not be downloaded; install libnode-dev",
  ],
  [/No space left on device|ENOSPC/, 'the disk is full'],
];

/** One sentence for the failures people meet; the log has the rest. */
function explainFailure(part: Part, output: string, log: string): { message: string; fromSources: boolean } {
  const what = part === 'addon' ? 'the addon' : 'the operators';
  for (const [pattern, reason] of MISSING_TOOLS) {
    if (pattern.test(output))
      return { message: `${what} cannot be compiled because ${reason}`, fromSources: false };
  }
  const error = output.split('\n').find((line) => /error[: ]/i.test(line) && !/gyp/.test(line));
  const first = (error ?? lastLine(output)).trim();
  return {
    message: `${what} did not compile (${first}); the compiler's output is in ${log}`,
    fromSources: /\.(cc|h|inc):\d+/.test(first),
  };
}

/** Builds that are kept of each part: other checkouts and versions may still use theirs. */
const KEPT_BUILDS = 6;

function pruneBuilds(part: Part): void {
  const folder = join(cacheRoot(), 'native');
  const builds = readdirSync(folder)
    .filter((name) => name.startsWith(`${part}-${platformArch()}-`) && !name.includes('.'))
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of builds.slice(KEPT_BUILDS)) rmSync(path, { recursive: true, force: true });
}

/**
 * Copies the sources to a folder in the cache, touching only files that changed, so that the package need not be
 * writable and a second build compiles only what changed.
 */
function syncWorkFolder(part: Part): string {
  const root = packageRoot();
  const id = createHash('sha256').update(root).digest('hex').slice(0, 8);
  const work = join(cacheRoot(), 'native', 'work', `${part}-${platformArch()}-${id}`);
  const wanted = new Set<string>();
  for (const file of sourceFiles(root, part)) {
    const name = relative(root, file);
    wanted.add(name);
    const target = join(work, name);
    const content = readFileSync(file);
    if (
      existsSync(target) &&
      statSync(target).size === content.length &&
      readFileSync(target).equals(content)
    )
      continue;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
  for (const file of sourceFiles(work, part)) {
    if (existsSync(file) && !wanted.has(relative(work, file))) rmSync(file);
  }
  return work;
}

function keepProducts(part: Part, work: string, key: string): BuiltPart {
  const folder = cachedBuildFolder(part, key);
  const temporary = `${folder}.tmp-${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const files: Record<string, number> = {};
    for (const name of PRODUCTS[part]) {
      // A copy under a new inode: the linker's output may be mapped by a running process.
      copyFileSync(join(work, 'build', 'Release', name), join(temporary, name));
      files[name] = statSync(join(temporary, name)).size;
    }
    writeManifest(temporary, { version: key, files });
    replaceFolder(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return builtPart(part, folder, 'built');
}

/** Copies compiled parts into the package's `prebuilds/`, for packing. */
export function keepAsPrebuilt(parts: readonly BuiltPart[]): void {
  for (const { part, folder } of parts) {
    const target = join(prebuiltFolder(), part);
    const temporary = `${target}.tmp-${process.pid}`;
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(temporary, name));
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
  }
}

function engineError(message: string): UserError {
  return new UserError(message, EXIT_CODES.engine);
}
