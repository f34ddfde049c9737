// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { withLock, writeAtomically } from './cache.js';
import type { LibTensorFlow } from './libtensorflow.js';
import { requireWritableCache } from './libtensorflow.js';
import {
  type BuiltPart,
  buildKey,
  findPart,
  keepProducts,
  PARTS,
  type Part,
  sourceFiles,
} from './native_parts.js';
import { cacheRoot, packageRoot, platformArch } from './paths.js';
import { lastLine, runCommand } from './process.js';

/** Parts that node-gyp compiles; see binding.gyp. */
export type GypPart = Exclude<Part, 'cuda'>;

/** Another kind of processor to compile for. */
export interface CrossTarget {
  /** Node's name of it, "arm64". */
  arch: string;
  /** What compiles for it, as in { CXX: 'aarch64-linux-gnu-g++' }. */
  tools: Readonly<Record<string, string>>;
  /** Folder with include/node of a Node for it. */
  nodeHeaders: string;
}

export interface BuildOptions {
  /** Try sources again that did not compile before. */
  retry?: boolean;
  /** Compile for another kind of processor. */
  cross?: CrossTarget;
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
  part: GypPart,
  library: LibTensorFlow,
  tensorflow: string | null,
  say: (line: string) => void,
  { retry = false, cross }: BuildOptions = {},
): Promise<BuiltPart> {
  const root = requireWritableCache();
  const arch = cross?.arch ?? process.arch;
  const key = buildKey(part, tensorflow, arch);
  const failure = join(root, 'native', `${part}-${platformArch(arch)}-${key}.failed`);
  if (!retry && existsSync(failure)) throw engineError(readFileSync(failure, 'utf8'));
  return withLock(join(root, `build-${part}${cross ? `-${arch}` : ''}.lock`), async () => {
    const { found } = findPart(part, tensorflow, arch);
    if (found !== null) return found;
    say(`compiling ${PARTS[part].called}${cross ? ` for ${arch}` : ''} (once) ...`);
    rmSync(failure, { force: true });
    return compile(part, library, key, failure, cross ?? null);
  });
}

async function compile(
  part: GypPart,
  library: LibTensorFlow,
  key: string,
  failure: string,
  cross: CrossTarget | null,
): Promise<BuiltPart> {
  if (library.include === null) {
    throw engineError(
      `${library.folder} has no TensorFlow headers to compile against; unset TFGEO_LIBTENSORFLOW, or set it to a ` +
        'folder with an include folder in it',
    );
  }
  const arch = cross?.arch ?? process.arch;
  const work = syncWorkFolder(part, arch);
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const log = join(work, 'build.log');
  const headers = cross?.nodeHeaders ?? nodeHeaders();
  const settings = [`-Dtfgeo_part=${part}`, `-Dtf_include=${library.include}`, `-Dtf_lib=${library.folder}`];
  const options = [
    ...(headers === null ? [] : [`--nodedir=${headers}`]),
    ...(cross ? [`--arch=${cross.arch}`] : []),
  ];
  const steps = [
    ['configure', ...options, '--', ...settings],
    ['build', '--jobs', String(Math.max(1, Math.min(8, cpus().length)))],
  ];
  let output = '';
  for (const step of steps) {
    const result = await runCommand(process.execPath, [nodeGyp, ...step], {
      cwd: work,
      env: { ...compilerEnvironment(), ...cross?.tools },
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
  return keepProducts(part, join(work, 'build', 'Release'), key, { arch });
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
function explainFailure(
  part: GypPart,
  output: string,
  log: string,
): { message: string; fromSources: boolean } {
  const what = PARTS[part].called;
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

/**
 * Copies the sources to a folder in the cache, touching only files that changed, so that the package need not be
 * writable and a second build compiles only what changed.
 */
function syncWorkFolder(part: GypPart, arch: string): string {
  const root = packageRoot();
  const id = createHash('sha256').update(root).digest('hex').slice(0, 8);
  const work = join(cacheRoot(), 'native', 'work', `${part}-${platformArch(arch)}-${id}`);
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

function engineError(message: string): UserError {
  return new UserError(message, EXIT_CODES.engine);
}
