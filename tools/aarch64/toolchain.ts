// SPDX-License-Identifier: Apache-2.0
// What the emulated machine is made of: Debian's cross compiler and emulator, and npm packages for linux-arm64.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { readManifest, replaceFolder, withLock, writeManifest } from '../../src/engine/cache.js';
import { requireWritableCache } from '../../src/engine/libtensorflow.js';
import { lastLine, runCommand } from '../../src/engine/process.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';

export const EMULATOR = 'qemu-aarch64-static';
/** Where Debian's packages put aarch64's libc and libstdc++. */
export const SYSROOT = '/usr/aarch64-linux-gnu';
/** The names that gyp's makefiles know their tools by. */
export const CROSS_TOOLS = {
  CC: 'aarch64-linux-gnu-gcc',
  CXX: 'aarch64-linux-gnu-g++',
  AR: 'aarch64-linux-gnu-ar',
  LINK: 'aarch64-linux-gnu-g++',
} as const;

/** Commands that are needed, with the Debian packages they come in. */
const NEEDED: readonly [command: string, packages: readonly string[]][] = [
  [EMULATOR, ['qemu-user-static']],
  [CROSS_TOOLS.CXX, ['g++-aarch64-linux-gnu', 'libc6-dev-arm64-cross']],
];

const canRun = async (command: string) => (await runCommand(command, ['--version'])).status === 0;

/**
 * Makes sure that emulator and cross compiler are there; installs them with apt-get where that is allowed.
 * @throws UserError naming the command to type, where it is not
 */
export async function provideToolchain(say: (line: string) => void): Promise<void> {
  const missing: string[] = [];
  for (const [command, packages] of NEEDED) if (!(await canRun(command))) missing.push(...packages);
  if (missing.length === 0) return;
  const install = ['apt-get', 'install', '--yes', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0 || !(await canRun('apt-get'))) {
    throw new UserError(
      `aarch64 cannot be emulated without ${missing.join(', ')}; run \`sudo ${install.join(' ')}\``,
      EXIT_CODES.engine,
    );
  }
  say(`installing ${missing.join(', ')} ...`);
  const apt = (args: readonly string[]) =>
    runCommand(args[0]!, args.slice(1), { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  let result = await apt(install);
  if (result.status !== 0) {
    await apt(['apt-get', 'update', '--quiet']);
    result = await apt(install);
  }
  if (result.status !== 0) {
    throw new UserError(
      `apt-get could not install ${missing.join(', ')} (${lastLine(result.stderr)})`,
      EXIT_CODES.engine,
    );
  }
}

/**
 * An npm package in the cache, whatever processor it is for; fetched with `npm pack`, so that npm's settings hold.
 * @param version a version or a range of which the newest is taken once
 * @returns its folder
 */
export async function provideNpmPackage(
  name: string,
  version: string,
  say: (line: string) => void,
): Promise<string> {
  const root = join(requireWritableCache(), 'aarch64');
  const folder = join(root, 'packages', `${name}@${version}`);
  if (readManifest(folder) !== null) return folder;
  return withLock(join(root, 'packages.lock'), async () => {
    if (readManifest(folder) !== null) return folder;
    say(`getting ${name} ${version} with npm (once) ...`);
    const temporary = join(root, `.unpack-${process.pid}`);
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    try {
      await must(`npm could not fetch ${name}@${version}`, 'npm', [
        ...['pack', '--silent', '--pack-destination', temporary],
        `${name}@${version}`,
      ]);
      const archive = readdirSync(temporary).find((file) => file.endsWith('.tgz'));
      if (archive === undefined) throw new UserError(`npm fetched no ${name}@${version}`, EXIT_CODES.engine);
      await must(`${archive} cannot be unpacked`, 'tar', ['-xzf', join(temporary, archive), '-C', temporary]);
      const unpacked = join(temporary, 'package');
      writeManifest(unpacked, { version, files: {} });
      mkdirSync(join(folder, '..'), { recursive: true });
      replaceFolder(unpacked, folder);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
    return folder;
  });
}

async function must(failure: string, command: string, args: readonly string[]): Promise<void> {
  const result = await runCommand(command, args);
  if (result.status === 0) return;
  throw new UserError(
    `${failure} (${lastLine(result.stderr) || lastLine(result.stdout)})`,
    EXIT_CODES.engine,
  );
}
