// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { unpackZip } from '../zip.js';
import { writeManifest } from './cache.js';
import { lastLine, runCommand } from './process.js';

/** The TensorFlow that `setup` gets: one version for everybody, so that results can be compared. */
export const PINNED_TENSORFLOW = '2.21.0';

/** The wheel's requirement for this machine. On aarch64 the plain package is the CPU one. */
export function wheelRequirement(arch: string = process.arch): string {
  return arch === 'x64' ? `tensorflow-cpu==${PINNED_TENSORFLOW}` : `tensorflow==${PINNED_TENSORFLOW}`;
}

/** Tags of the wheel whose libraries are taken when the running Python is too old or too new for any. */
function wheelTags(arch: string): string[] {
  const machine = arch === 'x64' ? 'x86_64' : 'aarch64';
  const platforms = ['manylinux_2_27', 'manylinux_2_28', 'manylinux_2_17', 'manylinux2014'];
  return [
    ...['--implementation', 'cp', '--python-version', '3.11', '--abi', 'cp311'],
    ...platforms.flatMap((platform) => ['--platform', `${platform}_${machine}`]),
  ];
}

/** Python interpreters worth asking, in order. */
export const PYTHONS = ['python3', 'python'] as const;

/**
 * Downloads the pinned wheel with pip (so that the user's pip settings hold) into `folder`.
 * @param say is told once it is clear that something will be downloaded.
 * @param arch Node's name of the processor it is for, "x64" or "arm64".
 * @returns the wheel's path.
 * @throws UserError in one sentence: no Python, no pip, no network, no such wheel.
 */
export async function downloadWheel(
  folder: string,
  say: (line: string) => void,
  arch: string = process.arch,
): Promise<string> {
  const requirement = wheelRequirement(arch);
  let python: string | null = null;
  for (const name of PYTHONS) {
    if ((await runCommand(name, ['-c', 'import pip'])).status === 0) {
      python = name;
      break;
    }
  }
  if (python === null) {
    throw engineError(
      'TensorFlow cannot be fetched because there is no python3 with pip on PATH; install them, or unpack a ' +
        'TensorFlow wheel and set TFGEO_LIBTENSORFLOW to its tensorflow folder',
    );
  }
  const foreign = arch !== process.arch;
  say(`getting TensorFlow ${PINNED_TENSORFLOW}${foreign ? ` for ${arch}` : ''} with pip (once) ...`);
  mkdirSync(folder, { recursive: true });
  const base = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps'];
  const rest = ['--only-binary=:all:', '--dest', folder, requirement];
  const byTags = [...base, ...wheelTags(arch), ...rest];
  let result = await runCommand(python, foreign ? byTags : [...base, ...rest]);
  if (
    !foreign &&
    result.status !== 0 &&
    /No matching distribution|Could not find a version/.test(result.stderr)
  ) {
    result = await runCommand(python, byTags);
  }
  if (result.status !== 0) {
    throw engineError(
      `pip could not download ${requirement} (${lastLine(result.stderr)}); check the network and pip's index, ` +
        'or set TFGEO_LIBTENSORFLOW to the tensorflow folder of an unpacked wheel',
    );
  }
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw engineError(`pip downloaded no wheel of ${requirement}`);
  return join(folder, wheel);
}

/** Libraries, headers and licences; the rest of the wheel is Python. */
function keepOfWheel(name: string): string | null {
  return (
    /^tensorflow\/(libtensorflow_(?:cc|framework)\.so\.2|include\/.*|THIRD_PARTY_NOTICES\.txt)$/.exec(
      name,
    )?.[1] ?? null
  );
}

/** Unpacks libraries and headers of a TensorFlow wheel into `folder` and writes its manifest last. */
export async function unpackWheel(wheel: string, folder: string, version = PINNED_TENSORFLOW): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const unpacked = await unpackZip(wheel, folder, keepOfWheel);
  const checksums: Record<string, number> = {};
  for (const library of ['libtensorflow_framework.so.2', 'libtensorflow_cc.so.2']) {
    const file = unpacked[library];
    if (file === undefined) throw engineError(`${wheel} holds no ${library}`);
    checksums[library] = file.crc;
  }
  const files = Object.fromEntries(Object.entries(unpacked).map(([name, { size }]) => [name, size]));
  writeManifest(folder, { version, files, checksums });
}

function engineError(message: string): UserError {
  return new UserError(message, EXIT_CODES.engine);
}
