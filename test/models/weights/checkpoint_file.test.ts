// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EXIT_CODES, UserError } from '../../../src/errors.js';
import { readCheckpoint } from '../../../src/models/weights/checkpoint_file.js';
import { type TensorToWrite, writeSafetensors } from '../../../src/models/weights/safetensors.js';

const PTH = 'test/fixtures/torch/views.pth';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'checkpoint-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const folder = () => mkdtempSync(join(root, 'folder-'));
const one = (value: number): TensorToWrite => ({ shape: [1], data: new Float32Array([value]) });

async function failure(path: string): Promise<string> {
  const error: unknown = await readCheckpoint(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).exitCode).toBe(EXIT_CODES.checkpoint);
  return (error as UserError).message;
}

describe('readCheckpoint', () => {
  it('tells formats apart by what is in the file', async () => {
    const place = folder();
    copyFileSync(PTH, join(place, 'misnamed.safetensors'));
    writeSafetensors(join(place, 'misnamed.pth'), [['a', one(1)]]);
    expect((await readCheckpoint(join(place, 'misnamed.safetensors'))).format).toBe('PyTorch');
    const { format, tensors } = await readCheckpoint(join(place, 'misnamed.pth'));
    expect([format, [...tensors.keys()]]).toEqual(['safetensors', ['a']]);
  });

  it('finds the weights of a folder, safetensors before PyTorch', async () => {
    const place = folder();
    copyFileSync(PTH, join(place, 'pytorch_model.bin'));
    expect((await readCheckpoint(place)).tensors.has('transposed')).toBe(true);
    writeSafetensors(join(place, 'model.safetensors'), [['a', one(1)]]);
    expect([...(await readCheckpoint(place)).tensors.keys()]).toEqual(['a']);
    expect(await failure(folder())).toMatch(
      /there are no weights in .*; a model folder holds one of model\.safetensors/,
    );
  });

  it('takes what users mistake for weights for what it is', async () => {
    const place = folder();
    const write = (text: string) => {
      writeFileSync(join(place, 'x.pth'), text);
      return join(place, 'x.pth');
    };
    expect(await failure(write('version https://git-lfs.github.com/spec/v1\noid sha256:1'))).toMatch(
      /pointer of Git LFS/,
    );
    expect(await failure(write('<!DOCTYPE html><html>'))).toMatch(/it is a web page/);
    expect(await failure(write(''))).toMatch(/it is empty \(0 bytes\)/);
    expect(await failure(join(place, 'none.pth'))).toMatch(/there is no such file or folder/);
  });
});

describe('weights in parts', () => {
  const parts = (map: unknown, ...files: [string, [string, TensorToWrite][]][]) => {
    const place = folder();
    for (const [name, tensors] of files) writeSafetensors(join(place, name), tensors);
    writeFileSync(join(place, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    return place;
  };

  it('are read together', async () => {
    const place = parts(
      { a: '1.safetensors', b: '2.safetensors' },
      ['1.safetensors', [['a', one(1)]]],
      ['2.safetensors', [['b', one(2)]]],
    );
    const { format, tensors, files } = await readCheckpoint(place);
    expect([format, files.length, [...tensors.keys()]]).toEqual(['safetensors in 2 parts', 2, ['a', 'b']]);
  });

  it('may be PyTorch files', async () => {
    const place = folder();
    copyFileSync(PTH, join(place, 'pytorch_model-00001-of-00001.bin'));
    const { tensors } = await readCheckpoint(PTH);
    const map = Object.fromEntries(
      [...tensors.keys()].map((name) => [name, 'pytorch_model-00001-of-00001.bin']),
    );
    writeFileSync(join(place, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map: map }));
    expect((await readCheckpoint(place)).tensors.size).toBe(tensors.size);
  });

  it.each<[string, unknown, RegExp]>([
    [
      'outside of the folder',
      { a: '../1.safetensors' },
      /lists the part "\.\.\/1\.safetensors", which is no file beside it/,
    ],
    ['by an absolute path', { a: '/etc/passwd' }, /lists the part "\/etc\/passwd"/],
    [
      'that are an index again',
      { a: 'model.safetensors.index.json' },
      /lists the part "model\.safetensors\.index\.json"/,
    ],
    ['that are no names', { a: 3 }, /lists the part 3/],
    ['that are missing', { a: '3.safetensors' }, /lists 3\.safetensors, which is missing/],
    [
      'with a tensor too many',
      { a: '1.safetensors', b: '2.safetensors' },
      /2\.safetensors: tensor a is in another part too/,
    ],
    ['with a tensor that is not listed', { b: '2.safetensors' }, /does not list tensor a in it/],
    [
      'with a tensor too few',
      { a: '1.safetensors', c: '1.safetensors' },
      /lists tensor c, which no part holds/,
    ],
    ['of nothing', null, /has no weight_map/],
  ])('%s are refused', async (_, map, message) => {
    const place = parts(
      map,
      ['1.safetensors', [['a', one(1)]]],
      [
        '2.safetensors',
        [
          ['b', one(2)],
          ['a', one(3)],
        ],
      ],
    ); // prettier-ignore
    expect(await failure(place)).toMatch(message);
  });
});
