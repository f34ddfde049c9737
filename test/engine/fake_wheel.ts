// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';

/** A folder of its own for one test. */
export function scratchFolder(): string {
  return mkdtempSync(join(tmpdir(), 'tfgeo-engine-'));
}

/** The first bytes of a shared library for this machine, and then `size` bytes of anything. */
export function fakeLibrary(size = 5000, machine = process.arch === 'x64' ? 62 : 183): Buffer {
  const library = Buffer.alloc(size, 7);
  library.writeUInt32BE(0x7f454c46, 0);
  library.writeUInt16LE(machine, 18);
  return library;
}

/** A zip file with the parts of a TensorFlow wheel that matter, and some that don't. */
export function fakeWheel(files: Record<string, Uint8Array> = {}): Buffer {
  return Buffer.from(
    zipSync({
      'tensorflow/__init__.py': Buffer.from('raise SystemExit'),
      'tensorflow/libtensorflow_framework.so.2': fakeLibrary(9000),
      'tensorflow/libtensorflow_cc.so.2': [fakeLibrary(200_000), { level: 0 }],
      'tensorflow/include/tensorflow/c/c_api.h': Buffer.from('/* the C API */'),
      'tensorflow/include/empty.h': new Uint8Array(0),
      ...files,
    }),
  );
}

/**
 * A folder for PATH whose python3 knows just `pip download`: it waits a little, copies `wheel`, and notes each download
 * in `downloads.log` beside it.
 */
export function fakePython(folder: string, wheel: Buffer): { path: string; log: string } {
  const path = join(folder, 'bin');
  const log = join(folder, 'downloads.log');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(folder, 'fake.whl'), wheel);
  writeScript(
    join(path, 'python3'),
    `case "$*" in
  *"import pip"*) exit 0 ;;
  *"pip download"*)
    while [ "$1" != "--dest" ]; do shift; done
    sleep 0.5
    echo "$2" >> '${log}'
    cp '${join(folder, 'fake.whl')}' "$2/" ;;
  *) echo '{"folder": null, "version": null}' ;;
esac`,
  );
  return { path, log };
}

export function writeScript(path: string, body: string): void {
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
}
