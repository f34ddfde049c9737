// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { zipSync } from 'fflate';
import { EXIT_CODES, UserError } from '../../../src/errors.js';
import { readSafetensors } from '../../../src/models/weights/safetensors.js';
import { readTorch } from '../../../src/models/weights/torch/read.js';
import { Random } from '../../../src/random.js';
import {
  bytes,
  floats,
  global,
  int,
  pickle,
  stateDict,
  tensor,
  text,
  torchZip,
  tuple,
  u32,
  u64,
} from './torch_files.js';

const FIXTURES = 'test/fixtures/torch';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'torch-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let files = 0;
function write(content: Uint8Array): string {
  const path = join(root, `${files++}.pth`);
  writeFileSync(path, content);
  return path;
}

/** The message that reading fails with. */
async function failure(content: Uint8Array | string): Promise<string> {
  const path = typeof content === 'string' ? content : write(content);
  const error = await readTorch(path).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).exitCode).toBe(EXIT_CODES.checkpoint);
  expect((error as UserError).message).toContain(path);
  return (error as UserError).message;
}

describe('readTorch', () => {
  it.each([
    ['views.pth', 'zip', ''],
    ['views_legacy.pth', 'legacy', 'state_dict'],
  ])('reads every type, and every way of looking at a storage: %s', async (file, format, key) => {
    const checkpoint = await readTorch(join(FIXTURES, file));
    const expected = await readSafetensors(join(FIXTURES, 'views.safetensors'));
    expect(checkpoint).toMatchObject({ format, key });
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, { shape, data }] of expected) {
      const read = checkpoint.tensors.get(name)!;
      expect([name, read.shape]).toEqual([name, shape]);
      expect([name, Array.from(read.data as ArrayLike<number>, Number)]).toEqual([
        name,
        Array.from(data as ArrayLike<number>, Number),
      ]);
    }
    const dtypes = Object.fromEntries([...checkpoint.tensors].map(([name, { dtype }]) => [name, dtype]));
    expect(dtypes).toMatchObject({
      half: 'F16',
      bfloat16: 'BF16',
      int64: 'I64',
      uint16: 'U16',
      bool: 'BOOL',
      plain: 'F32',
    });
    expect([...checkpoint.skipped]).toEqual([['_extra_state', 'None']]);
  });

  it('says what a training checkpoint holds beside the weights', async () => {
    const { key, others, args } = await readTorch(join(FIXTURES, 'detr_plain.pth'));
    expect(key).toBe('model');
    expect([...others.keys()]).toEqual(['optimizer', 'lr_scheduler', 'epoch', 'args']);
    expect(others.get('epoch')).toBe('49');
    expect(others.get('args')).toMatch(
      /^Namespace\(lr=0.0002, lr_backbone_names=\["backbone.0"\].*two_stage=false/,
    );
    expect(others.get('optimizer')).toContain('tensor F32 [4]');
    expect(args).toMatchObject({ nheads: 4, dec_layers: 2, with_box_refine: false, frozen_weights: null });
  });

  it('leaves out what wrappers put before names', async () => {
    const { tensors } = await readTorch(join(FIXTURES, 'detr_two_stage.pth'));
    expect(tensors.has('transformer.level_embed')).toBe(true);
  });

  it('takes the entry that is asked for', async () => {
    const dict = (name: string) => stateDict([{ name }]);
    const data = pickle(
      '}(',
      text('model'),
      dict('a'),
      text('model_ema'),
      dict('b'),
      text('inner'),
      '}',
      text('x'),
      dict('c'),
      's',
      'u',
    );
    const path = write(torchZip(data, { 0: floats(1, 2, 3, 4) }));
    const names = async (key?: string) => [
      ...(await readTorch(path, key === undefined ? {} : { key })).tensors.keys(),
    ];
    expect([await names(), await names('model_ema'), await names('inner.x')]).toEqual([['a'], ['b'], ['c']]);
    await expect(names('model_em')).rejects.toThrow(
      /no dict of tensors at model_em \(did you mean model_ema\?\)/,
    );
  });

  it('asks which of several dicts is meant', async () => {
    const data = pickle('}(', text('teacher'), stateDict([{}]), text('student'), stateDict([{}]), 'u');
    expect(await failure(torchZip(data, { 0: floats(1, 2, 3, 4) }))).toMatch(
      /several dicts of tensors \(teacher, student\)/,
    );
  });

  it('reads numbers, texts, paths, sets and numpy numbers beside the weights as data', async () => {
    const f8 = bytes(global('numpy', 'dtype'), tuple(text('f8'), int(0), int(1)), 'R');
    const best = Buffer.alloc(8);
    best.writeDoubleLE(0.75);
    const latin = bytes(
      global('_codecs', 'encode'),
      tuple(text([...best].map((b) => String.fromCharCode(b)).join('')), text('latin1')),
      'R',
    );
    const data = pickle(
      '}(',
      text('model'),
      stateDict([{}]),
      text('best'),
      global('numpy.core.multiarray', 'scalar'),
      tuple(f8, latin),
      'R',
      text('path'),
      global('pathlib', 'PosixPath'),
      tuple(text('/'), text('runs'), text('one')),
      'R',
      text('set'),
      0x8f,
      '(',
      int(3),
      0x90,
      text('large'),
      0x8a,
      10,
      Buffer.from('ffffffffffffffffff00', 'hex'),
      text('old'),
      'I01\n',
      text('float'),
      'F1.5\n',
      text('word'),
      "S'it'\n",
      'u',
    ); // prettier-ignore
    const { others } = await readTorch(write(torchZip(data, { 0: floats(1, 2, 3, 4) })));
    expect(Object.fromEntries(others)).toEqual({
      best: '0.75',
      path: '"/runs/one"',
      set: '{3}',
      large: String(2n ** 72n - 1n),
      old: 'true',
      float: '1.5',
      word: '"it"',
    });
  });
});

describe('what a checkpoint may not do', () => {
  it.each(['runs_code.pth', 'runs_code_legacy.pth'])('run anything: %s', async (file) => {
    expect(await failure(join(FIXTURES, file))).toMatch(
      /opcode GLOBAL at byte \d+ asks for posix\.system, which is not among the things that weights consist of; nothing of it was run/,
    );
    expect(existsSync('/tmp/tfgeo_pickle_ran')).toBe(false);
  });

  it.each([
    ['whole_module.pth', /asks for torch\.nn\.modules\.linear\.Linear/],
    ['sparse.pth', /asks for torch\._utils\._rebuild_sparse_tensor/],
    ['complex.pth', /asks for torch\.ComplexFloatStorage/],
  ])('hold %s', async (file, message) => {
    expect(await failure(join(FIXTURES, file))).toMatch(message);
  });

  const call = (module: string, name: string) => [global(module, name), tuple(text('x')), 'R'];
  const refused: [string, Buffer, RegExp][] = [
    ['eval', pickle(...call('builtins', 'eval')), /asks for builtins\.eval/],
    ['getattr', pickle(...call('builtins', 'getattr')), /asks for builtins\.getattr/],
    [
      'a nested checkpoint',
      pickle(...call('torch.storage', '_load_from_bytes')),
      /torch\.storage\._load_from_bytes/,
    ],
    [
      'a name through a dot',
      pickle(text('collections'), text('OrderedDict.__init__'), 0x93),
      /collections\.OrderedDict\.__init__/,
    ],
    [
      'a name by the stack',
      pickle(text('os'), text('system'), 0x93),
      /opcode STACK_GLOBAL at byte \d+ asks for os\.system/,
    ],
    ['the object prototype', pickle(text('constructor'), text('x'), 0x93), /asks for constructor\.x/],
    ['INST', pickle('(', text('x'), 'ios\nsystem\n'), /opcode INST at byte \d+ is refused/],
    ['OBJ', pickle('(', global('collections', 'OrderedDict'), 'o'), /opcode OBJ at byte \d+ is refused/],
    ['EXT1', pickle(0x82, 1), /opcode EXT1 at byte 2 is refused/],
    ['NEWOBJ_EX', pickle(global('argparse', 'Namespace'), ')}', 0x92), /opcode NEWOBJ_EX/],
    ['NEXT_BUFFER', pickle(0x97), /opcode NEXT_BUFFER/],
    [
      'a type that is called',
      pickle(...call('torch', 'FloatStorage')),
      /calls torch\.FloatStorage, which cannot be called/,
    ],
    ['a call of a number', pickle(int(3), tuple(), 'R'), /calls number, which cannot be called/],
    ['a call of a dict', pickle('}', tuple(), 'R'), /cannot be called/],
    [
      'another persistent object',
      pickle(tuple(text('module'), text('x')), 'Q'),
      /asks for something that is no storage \("module"\)/,
    ],
    ['an opcode that does not exist', pickle(0xff), /byte 0xff at 2 is no opcode/],
    ['an empty stack', pickle('0'), /opcode POP at byte 2 takes a value from an empty stack/],
    ['no mark', pickle('t'), /opcode TUPLE at byte 2 needs a mark/],
    ['a value across a mark', pickle(int(1), '(', 0x85), /takes a value where a mark is/],
    ['a list that is none', pickle(int(1), int(2), 'a'), /opcode APPEND at byte \d+ needs a list/],
    ['a dict that is none', pickle(']', int(1), int(2), 's'), /needs a dict/],
    ['a key without a value', pickle('}(', int(1), 'u'), /key without a value/],
    ['an entry of the memo', pickle('h', 5), /asks for entry 5 of the memo/],
    ['another protocol', bytes(0x80, 9, 'N.'), /says protocol 9/],
    ['a number without end', bytes('I12'), /INT at byte \d+ wants a line/],
    ['a number that is none', pickle('Ixy\n'), /holds "xy", which is no whole number/],
    ['no end', bytes(0x80, 2, ']'), /an opcode at byte 3 wants 1 bytes, 0 are left/],
    ['a list instead of a dict', pickle(']'), /holds no dict of tensors but \[\]/],
    [
      'nothing but a number',
      pickle('}(', text('epoch'), int(3), 'u'),
      /no dict of tensors in it; it has epoch/,
    ],
  ]; // prettier-ignore

  it.each(refused)('have %s', async (_, data, message) => {
    expect(await failure(torchZip(data))).toMatch(message);
  });
});

describe('small files that would grow', () => {
  const lines = (count: number, piece: (i: number) => Buffer) =>
    bytes(...Array.from({ length: count }, (_, i) => piece(i)));
  /** Entry `i` of the memo holds entry `i - 1` many times; the last one is left. */
  const doubling = (levels: number, make: (before: Buffer) => Buffer) =>
    bytes(
      text('x'),
      'q',
      0,
      '0',
      lines(levels, (i) => bytes(make(bytes('h', i)), 'q', i + 1, '0')),
      'h',
      levels,
    );
  const growing: [string, Buffer, RegExp][] = [
    [
      'paths of paths',
      doubling(60, (one) => bytes(global('pathlib', 'PosixPath'), tuple(one, one), 'R')),
      /expected a few short texts/,
    ],
    [
      'devices of lists',
      doubling(60, (one) => bytes('](', one, one, 'e')),
      /no dict of tensors but \[\[\[\[\.\.\.\], \[\.\.\.\]\], /,
    ],
    [
      'a list as an attribute',
      bytes(
        global('argparse', 'Namespace'),
        ')',
        0x81,
        '}',
        doubling(60, (one) => bytes('](', one, one, 'e')),
        int(1),
        'sb',
      ),
      /Namespace\(\)/,
    ],
    [
      'a dict that is copied',
      bytes(
        '(',
        lines(2000, (i) => tuple(int(i), int(i))),
        'lq',
        0,
        '0',
        lines(6000, () => bytes(global('collections', 'OrderedDict'), '(h', 0, 't', 'R0')),
        'N',
      ),
      /has copied more than 1000000 entries/,
    ],
    [
      'a type of a numpy number',
      bytes(
        global('numpy._core.multiarray', 'scalar'),
        '(',
        global('numpy', 'dtype'),
        '(',
        doubling(60, (one) => bytes('](', one, one, 'e')),
        'tRC',
        1,
        0,
        'tR',
      ),
      /cannot read a numpy number of type/,
    ],
  ]; // prettier-ignore

  it.each(growing)('%s', async (_, data, message) => {
    expect(await failure(torchZip(pickle(data)))).toMatch(message);
  });
});

describe('a file with bytes changed at random', () => {
  it.each(['views_legacy.pth', 'runs_code.pth'])('is read or refused, never more: %s', async (file) => {
    const random = new Random(11);
    const whole = readFileSync(join(FIXTURES, file));
    for (let round = 0; round < 300; round++) {
      const changed = Buffer.from(whole);
      for (let i = 0; i < 3; i++)
        changed[Math.floor(random.uniform() * Math.min(changed.length, 2000))] = Math.floor(
          random.uniform() * 256,
        );
      const error = await readTorch(write(changed)).then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error !== null) expect(error).toBeInstanceOf(UserError);
    }
    expect(existsSync('/tmp/tfgeo_pickle_ran')).toBe(false);
  });
});

describe('lengths that lie', () => {
  const huge = 2 ** 40;
  const cases: [string, Buffer, RegExp][] = [
    [
      'a text',
      pickle('X', u32(0xffffffff), 'ab'),
      /BINUNICODE at byte \d+ wants 4294967295 bytes, 3 are left/,
    ],
    [
      'a long text',
      pickle(0x8d, u64(2n ** 63n), 'ab'),
      /BINUNICODE8 at byte \d+ wants 9223372036854775808 bytes/,
    ],
    ['bytes', pickle(0x8e, u64(huge), 'ab'), /BINBYTES8 at byte \d+ wants 1099511627776 bytes/],
    ['a byte array', pickle(0x96, u64(huge), 'ab'), /BYTEARRAY8/],
    ['a number', pickle(0x8b, u32(0x7fffffff), 'ab'), /LONG4 at byte \d+ wants 2147483647 bytes/],
    [
      'a number of many digits',
      pickle(0x8b, u32(1000), Buffer.alloc(1000, 1)),
      /holds a number of 1000 bytes/,
    ],
    [
      'a storage',
      pickle(stateDict([{ count: huge }])),
      /tensor weight: storage 0 should have 4398046511104 bytes, it has 16/,
    ],
    [
      'a shape',
      pickle(stateDict([{ shape: [huge] }])),
      /shape \[1099511627776\] reaches value 1099511627775 of a storage that has 4/,
    ],
    [
      'an expanded shape',
      pickle(stateDict([{ shape: [huge, huge], strides: [0, 0] }])),
      /shows 1\.2\d+e\+24 values of a storage that has 4/,
    ],
    ['an offset', pickle(stateDict([{ offset: 1 }])), /reaches value 4 of a storage that has 4/],
    ['a stride', pickle(stateDict([{ strides: [2] }])), /reaches value 6/],
    ['a shape of texts', pickle(tensorWithShape(text('x'))), /expected a shape of whole numbers/],
    ['fewer strides', pickle(stateDict([{ strides: [] }])), /as many strides as axes/],
    ['a storage of another name', pickle(stateDict([{ key: '1' }])), /tensor weight: storage 1 is missing/],
    ['another type', pickle(stateDict([{ type: 'DoubleStorage' }])), /should have 32 bytes, it has 16/],
  ]; // prettier-ignore

  function tensorWithShape(item: Buffer): Buffer {
    const whole = tensor();
    const shape = tuple(int(4));
    const at = whole.indexOf(shape);
    return bytes(
      '}',
      text('weight'),
      whole.subarray(0, at),
      tuple(item),
      whole.subarray(at + shape.length),
      's',
    );
  }

  it.each(cases)('of %s: refused, without taking memory', async (_, data, message) => {
    const before = process.memoryUsage().rss;
    expect(await failure(torchZip(data, { 0: floats(1, 2, 3, 4) }))).toMatch(message);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 << 20);
  });

  it('of many tensors that show the same few values: refused before the memory is full', async () => {
    const tensors = Array.from({ length: 100 }, (_, i) => ({
      name: `t${i}`,
      shape: [1 << 24],
      strides: [0],
    }));
    const before = process.memoryUsage().rss;
    expect(await failure(torchZip(pickle(stateDict(tensors)), { 0: floats(1, 2, 3, 4) }))).toMatch(
      /tensor t1: with it the tensors take 134217728 bytes of a file of \d+/,
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(512 << 20);
  });

  it('of a legacy file: refused', async () => {
    const whole = readFileSync(join(FIXTURES, 'views_legacy.pth'));
    const cut = (length: number) => failure(whole.subarray(0, length));
    expect(await cut(whole.length - 1)).toMatch(/cut short/);
    expect(await cut(60)).toMatch(/BINUNICODE|opcode/);
    expect(await cut(15)).toMatch(/wants 1 bytes, 0 are left/);
    const patched = Buffer.from(whole);
    // The count before the last storage's values.
    const last = patched.lastIndexOf(u64(3));
    patched.writeBigUInt64LE(2n ** 50n, last);
    expect(await failure(patched)).toMatch(/says it has 1125899906842624 values/);
  });
});

describe('a zip file that is damaged', () => {
  const sound = torchZip(pickle(stateDict([{}])), { 0: floats(1, 2, 3, 4) });

  it('is read while it is sound', async () => {
    const { tensors } = await readTorch(write(sound));
    expect(Array.from(tensors.get('weight')!.data as Float32Array)).toEqual([1, 2, 3, 4]);
  });

  it('is refused when it is cut anywhere', async () => {
    for (let length = 4; length < sound.length; length += 7) {
      expect(await failure(sound.subarray(0, length))).toMatch(/zip|cut short/);
    }
  });

  it('is refused when a value was changed', async () => {
    const changed = Buffer.from(sound);
    changed[changed.indexOf(Buffer.from(floats(3)))]! ^= 1;
    expect(await failure(changed)).toMatch(/tensor weight: .*data\/0 is corrupt/);
  });

  it.each([
    [
      'compressed',
      zipSync({ 'a/data.pkl': pickle(stateDict([{}])), 'a/data/0': new Uint8Array(16) }, { level: 9 }),
      /is compressed/,
    ],
    ['something else', zipSync({ 'word/document.xml': new Uint8Array(3) }), /no data\.pkl in it/],
    ['a program', torchZip(pickle('}'), {}, { 'archive/constants.pkl': pickle(')') }), /TorchScript program/],
    [
      'big-endian',
      torchZip(
        pickle(stateDict([{}])),
        { 0: floats(1, 2, 3, 4) },
        { 'archive/byteorder': Buffer.from('big') },
      ),
      /big-endian/,
    ],
  ])('or is %s', async (_, content, message) => {
    expect(await failure(content)).toMatch(message);
  }); // prettier-ignore

  it('or whose entries share their bytes', async () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      name: `t${i}`,
      key: String(i),
      count: 1024,
      shape: [1024],
    }));
    const storages = Object.fromEntries(many.map(({ key }) => [key, new Uint8Array(4096)]));
    const zip = torchZip(pickle(stateDict(many)), storages);
    // Every entry of the directory points at the first storage, and those behind it are cut out.
    const first = zip.indexOf(Buffer.from('504b0304', 'hex'), zip.indexOf('archive/byteorder'));
    const entry = Buffer.from('504b0102', 'hex');
    const start = zip.indexOf(entry);
    for (let at = start, i = 0; at >= 0; at = zip.indexOf(entry, at + 4), i++) {
      if (i < 2) continue;
      zip.writeUInt32LE(first, at + 42);
    }
    const end = zip.indexOf(Buffer.from('504b0304', 'hex'), first + 4);
    const directory = zip.subarray(start);
    const shorter = Buffer.concat([zip.subarray(0, end), directory]);
    shorter.writeUInt32LE(end, shorter.length - 6);
    expect(await failure(shorter)).toMatch(/its storage overlaps another one/);
  });
});
