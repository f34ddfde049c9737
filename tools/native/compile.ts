// SPDX-License-Identifier: Apache-2.0
// Compiles programs and libraries that only tests and tools use, once for each state of their sources.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { folderFault, readManifest, replaceFolder, withLock, writeManifest } from '../../src/engine/cache.js';
import { requireWritableCache } from '../../src/engine/libtensorflow.js';
import { packageRoot, platformArch } from '../../src/engine/paths.js';
import { lastLine, runCommand } from '../../src/engine/process.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';

/** A command line; it runs in the checkout's root. */
export type Command = readonly [program: string, ...args: string[]];

/** Something compiled from sources of this checkout. */
export interface Recipe {
  /** Of its folder in the cache. */
  name: string;
  /** Files and folders, relative to the root, that it is made of: it is compiled anew when one changes. */
  sources: readonly string[];
  /** What else it depends on: versions of headers, architectures. */
  settings: readonly string[];
  /** Files that are kept. */
  products: readonly string[];
  /** Commands that put the products into folder `out`, stage by stage; those of a stage run side by side. */
  stages(out: string): readonly (readonly Command[])[];
}

/**
 * Compiles, or finds what was compiled before.
 * @returns the folder with the products
 * @throws UserError naming the missing compiler, or the first complaint of the compiler
 */
export async function provide(recipe: Recipe, say: (line: string) => void = sayOnStderr): Promise<string> {
  const root = join(requireWritableCache(), 'native', 'dev');
  const folder = join(root, `${recipe.name}-${platformArch()}`);
  const key = keyOf(recipe);
  // A folder per recipe: programs of an earlier state are of no use. It is replaced, so that running ones stay whole.
  return withLock(join(root, `${recipe.name}.lock`), async () => {
    const at = join(folder, key);
    if (readManifest(at)?.version === key && folderFault(at) === null) return at;
    say(`compiling ${recipe.name} (once) ...`);
    const work = join(folder, `tmp-${process.pid}`);
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work, { recursive: true });
    try {
      for (const stage of recipe.stages(work)) await runAll(stage, recipe.name);
      keepOnly(work, recipe.products);
      const files = recipe.products.map((name) => [name, statSync(join(work, name)).size] as const);
      writeManifest(work, { version: key, files: Object.fromEntries(files) });
      replaceFolder(work, at);
      forgetOthers(folder, key);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    return at;
  });
}

function sayOnStderr(line: string): void {
  process.stderr.write(`tfgeo: ${line}\n`);
}

function keyOf({ name, sources, settings, products, stages }: Recipe): string {
  const root = packageRoot();
  const hash = createHash('sha256').update(JSON.stringify([name, settings, products, stages('OUT')]));
  for (const file of sources.flatMap((source) => filesOf(join(root, source))).sort()) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 16);
}

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

async function runAll(commands: readonly Command[], what: string): Promise<void> {
  const waiting = [...commands];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await run(next, what);
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), commands.length) }, work));
}

async function run([program, ...args]: Command, what: string): Promise<void> {
  const result = await runCommand(program, args, { cwd: packageRoot() });
  if (result.status === 0) return;
  if (result.missing) {
    throw new UserError(`${what} cannot be compiled because there is no ${program}`, EXIT_CODES.engine);
  }
  const lines = `${result.stderr}\n${result.stdout}`.split('\n');
  const complaint =
    lines.find((line) => /\berror\b|undefined reference/i.test(line)) ?? lastLine(lines.join('\n'));
  throw new UserError(
    `${what} did not compile: ${complaint.trim()} (${program} ${args.join(' ')})`,
    EXIT_CODES.engine,
  );
}

function keepOnly(folder: string, products: readonly string[]): void {
  for (const name of products) {
    if (existsSync(join(folder, name))) continue;
    throw new UserError(`compiling left no ${name} in ${folder}`, EXIT_CODES.internal);
  }
  for (const name of readdirSync(folder)) if (!products.includes(name)) rmSync(join(folder, name));
}

/** States that are kept: other checkouts may use the same cache. */
const KEPT = 3;

function forgetOthers(folder: string, key: string): void {
  const others = readdirSync(folder)
    .filter((name) => name !== key && !name.includes('-') && !name.includes('.'))
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of others.slice(KEPT - 1)) rmSync(path, { recursive: true, force: true });
}
