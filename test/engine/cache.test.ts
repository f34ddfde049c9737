// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { zipSync } from 'fflate';
import {
  checksumFault,
  folderFault,
  replaceFolder,
  withLock,
  writeManifest,
} from '../../src/engine/cache.js';
import { readZipDirectory, unpackZip } from '../../src/zip.js';
import { scratchFolder } from './fake_wheel.js';

let folder: string;
beforeEach(() => {
  folder = scratchFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('manifest', () => {
  it('tells what is wrong with a folder', () => {
    expect(folderFault(folder)).toContain('incomplete');
    writeFileSync(join(folder, 'a'), '12345');
    writeManifest(folder, { version: '1', files: { a: 5 }, checksums: { a: 0xcbf53a1c } });
    expect([folderFault(folder), checksumFault(folder)]).toEqual([null, null]);
    writeFileSync(join(folder, 'a'), '12346');
    expect([folderFault(folder), checksumFault(folder)]).toEqual([null, 'the contents of a have changed']);
    writeFileSync(join(folder, 'a'), '123');
    expect(folderFault(folder)).toBe('a has 3 bytes instead of 5');
    rmSync(join(folder, 'a'));
    expect(folderFault(folder)).toBe('a is missing');
    expect(folderFault(folder, ['b'])).toBe('its manifest does not list b');
    writeFileSync(join(folder, 'tfgeo-manifest.json'), '{"version": ');
    expect(folderFault(folder)).toContain('incomplete');
  });

  it('puts a finished folder in the place of an old one, and leaves nothing else behind', () => {
    for (const [name, text] of [
      ['old', 'old'],
      ['new', 'new'],
    ] as const) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'file'), text);
    }
    replaceFolder(join(folder, 'new'), join(folder, 'old'));
    expect(readdirSync(folder)).toEqual(['old']);
    expect(readFileSync(join(folder, 'old', 'file'), 'utf8')).toBe('new');
  });
});

describe('lock', () => {
  it('lets one in at a time, and is gone afterwards even if the work fails', async () => {
    const path = join(folder, 'lock');
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inside--;
    };
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)]);
    expect(most).toBe(1);
    await expect(withLock(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(existsSync(path)).toBe(false);
  });

  it('takes over the lock of a dead process, and of one that went silent', async () => {
    const path = join(folder, 'lock');
    mkdirSync(path);
    writeFileSync(join(path, 'holder.json'), JSON.stringify({ pid: 2 ** 30, host: hostname() }));
    expect(await withLock(path, async () => 'in')).toBe('in');
    mkdirSync(path);
    writeFileSync(join(path, 'holder.json'), JSON.stringify({ pid: 1, host: 'another machine' }));
    utimesSync(path, 0, 0);
    expect(await withLock(path, async () => 'in')).toBe('in');
  });

  it('waits for a process that is alive, and says so', async () => {
    const path = join(folder, 'lock');
    mkdirSync(path);
    writeFileSync(join(path, 'holder.json'), JSON.stringify({ pid: 1, host: hostname() }));
    setTimeout(() => rmSync(path, { recursive: true }), 300);
    let told = 0;
    await withLock(
      path,
      async () => {},
      () => told++,
    );
    expect(told).toBe(1);
  });
});

describe('zip', () => {
  const files = {
    'a/b.txt': Buffer.from('b'.repeat(5000)),
    'c.bin': Buffer.from([1, 2, 3]),
    'd/': new Uint8Array(0),
  };

  it('unpacks what is asked for, stored or deflated', async () => {
    const archive = join(folder, 'x.zip');
    writeFileSync(archive, zipSync({ ...files, 'c.bin': [files['c.bin'], { level: 0 }] }));
    const out = join(folder, 'out');
    const unpacked = await unpackZip(archive, out, (name) => (name === 'c.bin' ? 'e/c' : name));
    expect(Object.keys(unpacked).sort()).toEqual(['a/b.txt', 'e/c']);
    expect(readFileSync(join(out, 'a/b.txt'), 'utf8')).toBe('b'.repeat(5000));
    expect([...readFileSync(join(out, 'e/c'))]).toEqual([1, 2, 3]);
  });

  it('notices an archive that is cut short, changed, or reaches outside', async () => {
    const whole = Buffer.from(zipSync(files));
    const archive = join(folder, 'x.zip');
    writeFileSync(archive, whole.subarray(0, whole.length - 40));
    await expect(readZipDirectory(archive)).rejects.toThrow('not a complete zip file');
    const changed = Buffer.from(zipSync({ 'c.bin': [Buffer.alloc(100, 1), { level: 0 }] }));
    changed[60]! ^= 1;
    writeFileSync(archive, changed);
    await expect(unpackZip(archive, join(folder, 'out'), (name) => name)).rejects.toThrow('c.bin is corrupt');
    writeFileSync(archive, zipSync({ '../evil': Buffer.from('x') }));
    await expect(unpackZip(archive, join(folder, 'out'), (name) => name)).rejects.toThrow('unsafe path');
  });
});
