// SPDX-License-Identifier: Apache-2.0
// A copy of the checkout that a bare aarch64 Node can run: TypeScript already turned into JavaScript (esbuild's own
// binary is for this machine), the rest linked, and sharp with the binaries for aarch64.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { readManifest, replaceFolder, writeManifest } from '../../src/engine/cache.js';

/** Folders with programs. */
const CODE = ['src', 'bin', 'tools', 'bench'];
/** What programs read. */
const LINKED = ['package.json', 'binding.gyp', 'csrc', 'dist', 'models', 'prebuilds', 'test'];
const SHARP_BINARIES = '@img';
const KEPT_TREES = 4;

function codeFiles(root: string): string[] {
  return CODE.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(root, folder, name)),
  ).sort();
}

/** Which tree this is: the same programs and packages at the same place give the same one. */
function treeKey(root: string, files: readonly string[], binaries: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify([root, binaries]));
  for (const file of [join(root, 'package-lock.json'), ...files])
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/**
 * The tree for the programs as they are now; an older one stays for whoever still runs it.
 * @param root the checkout
 * @param trees folder of all trees; the caller holds its lock
 * @param binaries unpacked packages of sharp for aarch64, by name
 */
export async function provideTree(
  root: string,
  trees: string,
  binaries: Readonly<Record<string, string>>,
): Promise<string> {
  const files = codeFiles(root);
  const folder = join(trees, treeKey(root, files, Object.values(binaries)));
  if (readManifest(folder) !== null) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  const temporary = `${folder}.tmp-${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    await build({
      entryPoints: files,
      outdir: temporary,
      outbase: root,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      logLevel: 'error',
    });
    for (const name of LINKED) {
      if (existsSync(join(root, name))) symlinkSync(join(root, name), join(temporary, name));
    }
    linkModules(join(root, 'node_modules'), join(temporary, 'node_modules'), binaries);
    writeManifest(temporary, { version: 'aarch64', files: {} });
    replaceFolder(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  pruneTrees(trees);
  return folder;
}

/** Links every package but sharp, which is copied, so that it finds the binaries beside the copy. */
function linkModules(from: string, to: string, binaries: Readonly<Record<string, string>>): void {
  mkdirSync(join(to, SHARP_BINARIES), { recursive: true });
  for (const name of readdirSync(from)) {
    if (name.startsWith('.') || name === 'sharp' || name === SHARP_BINARIES) continue;
    symlinkSync(join(from, name), join(to, name));
  }
  cpSync(join(from, 'sharp'), join(to, 'sharp'), { recursive: true });
  // What is not made for one kind of processor.
  for (const name of readdirSync(join(from, SHARP_BINARIES))) {
    if (!name.startsWith('sharp-'))
      symlinkSync(join(from, SHARP_BINARIES, name), join(to, SHARP_BINARIES, name));
  }
  for (const [name, folder] of Object.entries(binaries)) {
    mkdirSync(dirname(join(to, name)), { recursive: true });
    // Copied too: the one finds the other by a path relative to itself.
    cpSync(folder, join(to, name), { recursive: true });
  }
}

function pruneTrees(trees: string): void {
  const all = readdirSync(trees)
    .map((name) => ({ path: join(trees, name), time: statSync(join(trees, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of all.slice(KEPT_TREES)) rmSync(path, { recursive: true, force: true });
}
