// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { packageRoot } from '../../src/engine/paths.js';
import { provideNpmPackage, provideToolchain } from '../../tools/aarch64/toolchain.js';
import { provideTree } from '../../tools/aarch64/tree.js';
import { scratchFolder, writeScript } from '../engine/fake_wheel.js';

const before = process.env;
let folder: string;

beforeEach(() => {
  folder = scratchFolder();
  mkdirSync(join(folder, 'bin'));
  process.env = { ...before, PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, XDG_CACHE_HOME: folder };
});

afterEach(() => {
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});

const quiet = () => {};

describe('what an emulated aarch64 is made of', () => {
  it('names the command for tools that are missing and cannot be installed', async () => {
    process.env.PATH = join(folder, 'bin');
    const asked = provideToolchain(quiet);
    await expect(asked).rejects.toThrow(
      /without qemu-user-static, g\+\+-aarch64-linux-gnu, .*; run `sudo apt-get install --yes/,
    );
  });

  it('takes tools that are there as they are', async () => {
    process.env.PATH = join(folder, 'bin');
    for (const name of ['qemu-aarch64-static', 'aarch64-linux-gnu-g++'])
      writeScript(join(folder, 'bin', name), 'exit 0');
    await provideToolchain(() => {
      throw new Error('nothing was to be said');
    });
  });

  it('fetches a package once, also when asked twice at a time', async () => {
    const log = join(folder, 'npm.log');
    mkdirSync(join(folder, 'package'));
    writeScript(join(folder, 'package', 'marker'), 'exit 0');
    writeScript(
      join(folder, 'bin', 'npm'),
      `echo "$@" >> '${log}'; tar -czf "$4/a-1.0.0.tgz" -C '${folder}' package`,
    );
    const [one, two] = await Promise.all([
      provideNpmPackage('@some/package', '1.0.0', quiet),
      provideNpmPackage('@some/package', '1.0.0', quiet),
    ]);
    expect(one).toBe(two);
    expect(existsSync(join(one, 'marker'))).toBe(true);
    expect(readFileSync(log, 'utf8').trim().split('\n')).toHaveLength(1);
    expect(readFileSync(log, 'utf8')).toContain('@some/package@1.0.0');
  });

  it('leaves nothing behind where npm fails', async () => {
    writeScript(join(folder, 'bin', 'npm'), 'echo "npm error 404" >&2; exit 1');
    await expect(provideNpmPackage('absent', '1', quiet)).rejects.toThrow(
      'npm could not fetch absent@1 (npm error 404)',
    );
    expect(readdirSync(join(folder, 'tfgeo', 'aarch64'))).toEqual([]);
  });
});

describe('the tree of programs', () => {
  it('holds JavaScript for every program, links to the rest and binaries for aarch64', async () => {
    const binary = join(folder, 'sharp-linux-arm64');
    mkdirSync(binary);
    writeScript(join(binary, 'marker'), 'exit 0');
    const binaries = { '@img/sharp-linux-arm64': binary };
    const trees = join(folder, 'trees');
    const tree = await provideTree(packageRoot(), trees, binaries);
    for (const file of ['bin/tfgeo-train.js', 'tools/parity.js', 'src/index.js', 'package.json', 'models'])
      expect([file, existsSync(join(tree, file))]).toEqual([file, true]);
    expect(readdirSync(join(tree, 'node_modules', '@img')).sort()).toEqual(['colour', 'sharp-linux-arm64']);
    expect(existsSync(join(tree, 'node_modules', '@img', 'sharp-linux-arm64', 'marker'))).toBe(true);
    expect(existsSync(join(tree, 'node_modules', '@tensorflow', 'tfjs', 'package.json'))).toBe(true);
    expect(await provideTree(packageRoot(), trees, binaries)).toBe(tree);
    expect(readdirSync(trees)).toHaveLength(1);
  });
});
