// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import {
  checksumFault,
  folderFault,
  readManifest,
  replaceFolder,
  withLock,
  writeAtomically,
} from './cache.js';
import { cacheRoot, platformArch, shortPath } from './paths.js';
import { runCommand } from './process.js';
import { downloadWheel, PINNED_TENSORFLOW, PYTHONS, unpackWheel } from './wheel.js';

/** Where a libtensorflow can come from, in the order they are tried. */
export type Source = 'TFGEO_LIBTENSORFLOW' | 'python' | 'cache' | 'download';

/** A usable libtensorflow. */
export interface LibTensorFlow {
  source: Source;
  /** Folder of the libraries. */
  folder: string;
  /** Absolute paths, in the order they have to be opened. */
  libraries: [framework: string, api: string];
  /** Folder of its headers, or null if it has none (then nothing can be compiled against it). */
  include: string | null;
  /** "2.21.0", or null where only loading it can tell. */
  version: string | null;
}

/** One candidate that was looked at. */
export interface Attempt {
  source: Source;
  /** The folder or command in question. */
  where: string;
  accepted: boolean;
  /** Why it was taken or refused. */
  reason: string;
}

const FRAMEWORK = 'libtensorflow_framework.so.2';
/** Libraries that export the C API: the wheel's, and the one of the C distribution. */
const API_LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow.so.2'];
const OLDEST: readonly [number, number] = [2, 16];

/** Prints the version and folder of the `tensorflow` package without importing it (that takes seconds). */
const PYTHON_PROBE = `
import importlib.util, json, sys
from importlib import metadata
sys.path = [path for path in sys.path if path]  # a folder of that name in the current one is not meant
spec = importlib.util.find_spec("tensorflow")
version = None
for name in ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tensorflow-aarch64"):
    try:
        version = metadata.version(name)
        break
    except metadata.PackageNotFoundError:
        pass
folder = list(spec.submodule_search_locations)[0] if spec and spec.submodule_search_locations else None
print(json.dumps({"folder": folder, "version": version}))
`;

/** Folder of the pinned TensorFlow for a kind of processor inside the cache. */
export function cachedFolder(arch: string = process.arch): string {
  return join(cacheRoot(), `tensorflow-${PINNED_TENSORFLOW}-${platformArch(arch)}`);
}

/** What is wrong with this version, or null. */
export function versionFault(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  return old ? `it is TensorFlow ${version}, and tfgeo needs ${OLDEST.join('.')} or newer` : null;
}

/** The libtensorflow in `folder` (or its `lib/`), or the reason why there is none. */
function inspectFolder(
  folder: string,
  source: Source,
  version: string | null,
  arch: string = process.arch,
): LibTensorFlow | string {
  if (!existsSync(folder)) return 'there is no such folder';
  for (const libraryFolder of [folder, join(folder, 'lib')]) {
    const framework = join(libraryFolder, FRAMEWORK);
    const api = API_LIBRARIES.map((name) => join(libraryFolder, name)).find((path) => existsSync(path));
    if (!existsSync(framework) || api === undefined) continue;
    const fault =
      libraryFault(framework, arch) ??
      libraryFault(api, arch) ??
      (version === null ? null : versionFault(version));
    if (fault !== null) return fault;
    const include = join(folder, 'include');
    const hasHeaders = existsSync(join(include, 'tensorflow', 'c', 'c_api.h'));
    return {
      source,
      folder: libraryFolder,
      libraries: [framework, api],
      include: hasHeaders ? include : null,
      version,
    };
  }
  return `it does not hold ${FRAMEWORK} and ${API_LIBRARIES[0]}`;
}

const ELF_MACHINES: Record<string, number> = { x64: 62, arm64: 183 };

/** Refuses empty files and libraries of another machine before the linker does so less clearly. */
function libraryFault(path: string, arch: string): string | null {
  const header = Buffer.alloc(20);
  const file = openSync(path, 'r');
  try {
    if (readSync(file, header) < 20 || header.readUInt32BE(0) !== 0x7f454c46)
      return `${path} is not a shared library`;
  } finally {
    closeSync(file);
  }
  const wanted = ELF_MACHINES[arch];
  return wanted !== undefined && header.readUInt16LE(18) !== wanted
    ? `${path} is built for another kind of processor`
    : null;
}

/**
 * The cache's libtensorflow, or why it can't be used.
 * @param thorough looks at every header's size and reads the libraries through (a second); else at the libraries' sizes.
 */
export function inspectCache(thorough = false, arch: string = process.arch): LibTensorFlow | string {
  const folder = cachedFolder(arch);
  if (!existsSync(folder)) return 'nothing was downloaded yet';
  const fault = thorough
    ? (folderFault(folder) ?? checksumFault(folder))
    : folderFault(folder, [FRAMEWORK, API_LIBRARIES[0]!]);
  if (fault !== null) return `it is damaged: ${fault}`;
  return inspectFolder(folder, 'cache', readManifest(folder)!.version, arch);
}

async function askPython(): Promise<{ where: string; found: LibTensorFlow | string }> {
  for (const python of PYTHONS) {
    const result = await runCommand(python, ['-c', PYTHON_PROBE], { timeoutMs: 20_000 });
    if (result.missing) continue;
    const where = `the tensorflow package of ${python}`;
    if (result.status !== 0)
      return { where, found: `${python} failed: ${result.stderr.trim().split('\n').at(-1)}` };
    const { folder, version } = JSON.parse(result.stdout) as {
      folder: string | null;
      version: string | null;
    };
    if (folder === null) return { where, found: 'it is not installed' };
    return { where: folder, found: inspectFolder(folder, 'python', version) };
  }
  return { where: 'the tensorflow package of python3', found: 'there is no python3 on PATH' };
}

/** Every place on this machine, in the design's order; each is looked at when its turn comes. */
const PLACES: readonly [Source, () => Promise<{ where: string; found: LibTensorFlow | string }>][] = [
  [
    'TFGEO_LIBTENSORFLOW',
    async () => {
      const where = process.env.TFGEO_LIBTENSORFLOW ?? '';
      return { where, found: where ? inspectFolder(where, 'TFGEO_LIBTENSORFLOW', null) : 'it is not set' };
    },
  ],
  ['python', askPythonRemembered],
  ['cache', async () => ({ where: cachedFolder(), found: inspectCache() })],
];

/**
 * Looks for a libtensorflow that is already on this machine: TFGEO_LIBTENSORFLOW, the Python on PATH, the cache.
 * Stops at the first that serves.
 * @param refused folders that turned out not to load.
 */
export async function findLibTensorFlow(
  refused: ReadonlySet<string> = new Set(),
): Promise<{ found: LibTensorFlow | null; attempts: Attempt[] }> {
  const attempts: Attempt[] = [];
  for (const [source, look] of PLACES) {
    const { where, found } = await look();
    const usable = typeof found !== 'string' && !refused.has(found.folder);
    const reason = typeof found === 'string' ? found : usable ? acceptedBecause(found) : 'loading it failed';
    attempts.push({ source, where, accepted: usable, reason });
    if (usable) return { found, attempts };
  }
  return { found: null, attempts };
}

/** All places, whether needed or not. */
export async function inspectAll(): Promise<{ attempt: Attempt; usable: boolean }[]> {
  return Promise.all(
    PLACES.map(async ([source, look]) => {
      const { where, found } = await look();
      const usable = typeof found !== 'string';
      const reason = usable ? acceptedBecause(found) : found;
      return { attempt: { source, where, accepted: usable, reason }, usable };
    }),
  );
}

function acceptedBecause(library: LibTensorFlow): string {
  return library.version === null ? 'it holds the libraries' : `it is TensorFlow ${library.version}`;
}

/**
 * Asking Python takes 50 ms or more, so its answer is remembered for this PATH: for a day, and as long as the
 * package is still there.
 */
async function askPythonRemembered(): Promise<{ where: string; found: LibTensorFlow | string }> {
  const settings = [
    process.arch,
    process.env.PATH,
    process.env.VIRTUAL_ENV,
    process.env.PYTHONPATH,
    process.env.PYENV_VERSION,
  ];
  const key = createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);
  const file = join(cacheRoot(), 'python', `${key}.json`);
  try {
    const remembered = JSON.parse(readFileSync(file, 'utf8')) as {
      where: string;
      found: LibTensorFlow | string;
      asked: number;
    };
    const current = Date.now() - remembered.asked < 24 * 3_600_000;
    if (current && (typeof remembered.found === 'string' || existsSync(remembered.found.libraries[1]))) {
      return remembered;
    }
  } catch {
    // never asked, or an unreadable note: ask
  }
  const answer = await askPython();
  try {
    writeAtomically(file, JSON.stringify({ ...answer, asked: Date.now() }));
  } catch {
    // a cache that can't be written costs time, nothing else
  }
  return answer;
}

/** Forgets what Python answered; the next look asks again. */
export function forgetPython(): void {
  rmSync(join(cacheRoot(), 'python'), { recursive: true, force: true });
}

/** Makes sure the cache folder can be written, with one sentence if not. */
export function requireWritableCache(): string {
  const root = cacheRoot();
  try {
    mkdirSync(root, { recursive: true });
    writeAtomically(join(root, '.writable'), '');
    rmSync(join(root, '.writable'), { force: true });
  } catch (error) {
    throw new UserError(
      `the cache folder ${shortPath(root)} cannot be written (${(error as NodeJS.ErrnoException).code}); ` +
        'set XDG_CACHE_HOME to a folder that can',
      EXIT_CODES.engine,
    );
  }
  return root;
}

/**
 * Gets the pinned TensorFlow into the cache, repairing whatever is broken there. Safe when several processes do so
 * at once: one downloads, the others wait and find it done.
 * @param say is told, in one line, before anything slow happens.
 * @param arch the processor it is for, where that is not this machine's.
 */
export async function fetchLibTensorFlow(
  say: (line: string) => void,
  arch: string = process.arch,
): Promise<LibTensorFlow> {
  const root = requireWritableCache();
  return withLock(
    join(root, 'setup.lock'),
    async () => {
      const before = inspectCache(true, arch);
      if (typeof before !== 'string') return before;
      const temporary = join(root, `.unpack-${process.pid}`);
      try {
        const wheel = await downloadWheel(join(temporary, 'wheel'), say, arch);
        await unpackWheel(wheel, join(temporary, 'tensorflow'));
        replaceFolder(join(temporary, 'tensorflow'), cachedFolder(arch));
      } finally {
        rmSync(temporary, { recursive: true, force: true });
      }
      const after = inspectCache(true, arch);
      if (typeof after === 'string')
        throw new UserError(`the downloaded TensorFlow: ${after}`, EXIT_CODES.engine);
      return { ...after, source: 'download' };
    },
    () => say('another process is setting tfgeo up; waiting for it ...'),
  );
}

/** libtensorflow files already mapped into this process that are not `library`'s. */
export function foreignLibTensorFlow(library: LibTensorFlow | null): string | null {
  let maps: string;
  try {
    maps = readFileSync('/proc/self/maps', 'utf8');
  } catch {
    return null;
  }
  const ours = new Set((library?.libraries ?? []).map((path) => realpathSync(path)));
  for (const match of maps.matchAll(/ (\/\S*\/libtensorflow[\w]*\.so[.\d]*)/g)) {
    if (!ours.has(match[1]!)) return match[1]!;
  }
  return null;
}
