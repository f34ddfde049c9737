// SPDX-License-Identifier: Apache-2.0
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { nativeBinding, ready, SavedModelSession } from '../../src/engine/index.js';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import { readExamples, readSavedModel, writeSavedModel } from '../../src/export/index.js';
import { affineModel, disposeContent } from './affine_model.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-export-'));
const at = (name: string) => join(root, name);
afterAll(() => rmSync(root, { recursive: true, force: true }));

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
  const content = affineModel('a');
  await writeSavedModel(at('model'), content);
  disposeContent(content);
});

const rows = { dtype: 'float32', shape: [2, 3], values: Float32Array.of(1, 0, 2, -1, 1, 0) } as const;

describe('a written SavedModel', () => {
  it('is opened by a session, with its variables restored', async () => {
    const session = SavedModelSession.open(at('model'));
    const [y] = await session.run(new Map([['x:0', rows]]), ['y:0']);
    expect(y!.shape).toEqual([2, 2]);
    expect([...(y!.values as Float32Array)]).toEqual([11.5, 13.5, 2.5, 1.5]);
    session.close();
  });

  it('carries text and 64-bit numbers', async () => {
    const session = SavedModelSession.open(at('model'));
    const [names, wholes] = await session.run(
      new Map([
        ['names:0', { dtype: 'string', shape: [2], values: [Buffer.from('a\0é'), Buffer.from('')] }],
        ['wholes:0', { dtype: 'int64', shape: [1], values: BigInt64Array.of(2n ** 60n) }],
      ]),
      ['loud:0', 'next:0'],
    );
    expect((names!.values as Uint8Array[]).map((bytes) => Buffer.from(bytes).toString())).toEqual([
      'A\0é',
      '',
    ]);
    expect(wholes).toMatchObject({ dtype: 'int64', values: BigInt64Array.of(2n ** 60n + 1n) });
    session.close();
  });

  it('names its signatures, variables, assets and versions', async () => {
    const { metaInfo, graph, saver, signatures, assetFiles } = await readSavedModel(at('model'));
    expect(metaInfo).toMatchObject({ tags: ['serve'], strippedDefaultAttrs: true });
    expect([...signatures.keys()]).toEqual(['serving_default', 'number', 'named']);
    expect(signatures.get('serving_default')).toEqual({
      inputs: new Map([['x', { name: 'x:0', dtype: 1, shape: { dim: [{ size: -1 }, { size: 3 }] } }]]),
      outputs: new Map([['y', { name: 'y:0', dtype: 1, shape: { dim: [{ size: -1 }, { size: 2 }] } }]]),
      methodName: 'tensorflow/serving/predict',
    });
    expect(saver).toMatchObject({ restoreOpName: 'save/restore_all', version: 2 });
    expect(assetFiles.map(({ filename }) => filename)).toEqual(['labels.txt']);
    const product = graph.nodes.find(({ name }) => name === 'product')!;
    expect([...product.attr.keys()]).toEqual(['T']);
    expect(readdirSync(at('model/variables')).sort()).toEqual([
      'variables.data-00000-of-00001',
      'variables.index',
    ]);
    expect(readFileSync(at('model/assets/labels.txt'), 'utf8')).toBe('ship\nplane\n');
  });

  it('gives back the examples of its warm-up file', async () => {
    const [example, ...rest] = await readExamples(at('model'));
    expect(rest).toEqual([]);
    expect(example!.signature).toBe('serving_default');
    expect([...(example!.outputs.get('y')!.values as Float32Array)]).toEqual([11.5, 13.5]);
    const session = SavedModelSession.open(at('model'));
    const [y] = await session.run(new Map([['x:0', example!.inputs.get('x')!]]), ['y:0']);
    expect(y).toEqual(example!.outputs.get('y'));
    session.close();
  });

  it('runs for TensorFlow.js through the addon, as tf.node.loadSavedModel does', async () => {
    const before = tf.memory().numTensors;
    const binding = nativeBinding();
    const id = binding.loadSavedModel(at('model'), 'serve');
    const input = binding.createTensor([1, 3], 1, Float32Array.of(1, 1, 1));
    const [output] = binding.runSavedModel(id, [input], 'x:0', 'y:0');
    expect([...(binding.tensorDataSync(output!.id) as Float32Array)]).toEqual([9.5, 11.5]);
    binding.deleteTensor(input);
    binding.deleteTensor(output!.id);
    binding.deleteSavedModel(id);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('runs', () => {
  it('many at a time give each its own answer, also when the model is closed meanwhile', async () => {
    const session = SavedModelSession.open(at('model'));
    const runs = Array.from({ length: 50 }, (_, i) =>
      session.run(new Map([['x:0', { dtype: 'float32', shape: [1, 3], values: Float32Array.of(i, 0, 0) }]]), [
        'y:0',
      ]),
    );
    session.close();
    const answers = await Promise.all(runs);
    expect(answers.map(([y]) => (y!.values as Float32Array)[0])).toEqual(answers.map((_, i) => i + 0.5));
    await expect(session.run(new Map(), ['y:0'])).rejects.toThrow(/no SavedModel has id/);
  });

  it('say what is wrong with names, shapes and inputs', async () => {
    const session = SavedModelSession.open(at('model'));
    await expect(session.run(new Map([['z:0', rows]]), ['y:0'])).rejects.toThrow("no operation 'z'");
    await expect(session.run(new Map([['x:0', rows]]), ['y:4'])).rejects.toThrow('no output 4');
    await expect(session.run(new Map([['x:0', { ...rows, shape: [3, 2] }]]), ['y:0'])).rejects.toThrow(
      /\[3,2\]/,
    );
    await expect(session.run(new Map(), ['y:0'])).rejects.toThrow(/must feed a value/);
    session.close();
  });
});

describe('an export that fails', () => {
  const leftovers = () => readdirSync(root).filter((name) => name.includes('.tmp'));

  it('leaves nothing behind when its check fails', async () => {
    const content = affineModel('b');
    const refuse = async (folder: string) => {
      expect(existsSync(join(folder, 'saved_model.pb'))).toBe(true);
      expect(existsSync(at('refused'))).toBe(false);
      throw new UserError('it differs');
    };
    await expect(writeSavedModel(at('refused'), content, refuse)).rejects.toThrow('it differs');
    disposeContent(content);
    expect(existsSync(at('refused'))).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it('does not touch a folder or file that is there', async () => {
    mkdirSync(at('taken'));
    writeFileSync(at('taken/mine'), '');
    for (const place of ['taken', 'taken/mine']) {
      const content = affineModel('c');
      await expect(writeSavedModel(at(place), content)).rejects.toThrow(UserError);
      disposeContent(content);
    }
    expect(readdirSync(at('taken'))).toEqual(['mine']);
    expect(leftovers()).toEqual([]);
  });

  it('takes an empty folder', async () => {
    mkdirSync(at('empty'));
    const content = affineModel('d');
    await writeSavedModel(at('empty'), content);
    disposeContent(content);
    expect(existsSync(at('empty/saved_model.pb'))).toBe(true);
  });
});

describe('reading', () => {
  it('names the file that is missing, damaged or of no use', async () => {
    const mistake = async (name: string) => {
      const error = await readSavedModel(at(name)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UserError);
      expect((error as UserError).exitCode).toBe(EXIT_CODES.checkpoint);
      return (error as UserError).message;
    };
    expect(await mistake('nowhere')).toContain('is missing');
    mkdirSync(at('broken'));
    const whole = readFileSync(at('model/saved_model.pb'));
    writeFileSync(at('broken/saved_model.pb'), whole.subarray(0, whole.length - 5));
    expect(await mistake('broken')).toContain('cut short');
    writeFileSync(at('broken/saved_model.pb'), '');
    expect(await mistake('broken')).toContain('"serve"');
  });
});
