// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  alignedFloat32,
  currentEngine,
  nativeBinding,
  opAttr,
  ready,
  runOp,
  TF_DTYPE,
} from '../../src/engine/index.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

describe('engine tensorflow', () => {
  it('is the one in use, and says what it is', () => {
    const info = currentEngine()!;
    expect(info.engine).toBe('tensorflow');
    expect(tf.getBackend()).toBe('tensorflow');
    expect(info.tensorflow!.version).toMatch(/^2\.\d+\.\d+/);
    expect(info.tensorflow!.devices.map((device) => device.type)).toContain('CPU');
    expect(info.attempts.some((attempt) => attempt.accepted)).toBe(true);
  });

  it('gives typed arrays of this realm', () => {
    expect(tf.tensor([1, 2]).add(1).dataSync()).toBeInstanceOf(Float32Array);
    expect(tf.tensor([1, 2], [2], 'int32').add(tf.scalar(1, 'int32')).dataSync()).toBeInstanceOf(Int32Array);
    expect(tf.tensor(new Int32Array([1, 2])).dtype).toBe('int32');
  });

  it('does arithmetic of every dtype', () => {
    expect(tf.tensor([1.5, -2]).mul(2).arraySync()).toEqual([3, -4]);
    expect(tf.tensor([7, -7], [2], 'int32').floorDiv(tf.scalar(2, 'int32')).arraySync()).toEqual([3, -4]);
    expect(tf.logicalNot(tf.tensor([true, false], [2], 'bool')).arraySync()).toEqual([0, 1]);
    expect(tf.real(tf.complex([1, 2], [3, 4])).arraySync()).toEqual([1, 2]);
    expect(tf.tensor(['grün', ''], [2], 'string').reshape([1, 2]).arraySync()).toEqual([['grün', '']]);
    expect(tf.zeros([0, 3]).add(1).shape).toEqual([0, 3]);
  });

  it('agrees with the cpu backend on convolutions, products and their gradients', async () => {
    const run = () =>
      tf.tidy(() => {
        const image = tf.linspace(-1, 1, 2 * 8 * 8 * 3).reshape([2, 8, 8, 3]) as tf.Tensor4D;
        const filter = tf.linspace(-1, 1, 3 * 3 * 3 * 4).reshape([3, 3, 3, 4]) as tf.Tensor4D;
        const f = (x: tf.Tensor4D, w: tf.Tensor4D) =>
          tf.conv2d(x, w, 2, 'same').relu().square().mean() as tf.Scalar;
        const grads = tf.valueAndGrads((x: tf.Tensor, w: tf.Tensor) => f(x as tf.Tensor4D, w as tf.Tensor4D));
        const {
          value,
          grads: [dx, dw],
        } = grads([image, filter]);
        return [value, dx!, dw!].map((tensor) => Array.from(tensor.dataSync()));
      });
    const here = run();
    await ready({ engine: 'cpu' });
    const there = run();
    await ready({ engine: 'tensorflow' });
    here.forEach((values, i) => {
      const worst = Math.max(...values.map((value, j) => Math.abs(value - there[i]![j]!)));
      expect(worst).toBeLessThan(1e-4);
    });
  });

  it('moves tensors made on another engine', async () => {
    await ready({ engine: 'cpu' });
    const made = tf.tensor([1, 2, 3]);
    await ready({ engine: 'tensorflow' });
    expect(made.add(1).arraySync()).toEqual([2, 3, 4]);
  });
});

describe('runOp', () => {
  it('runs an op by name, with lists of inputs and several outputs', () => {
    const [packed] = runOp(
      'Pack',
      [opAttr.int('N', 2), opAttr.type('T', 'float32'), opAttr.int('axis', 1)],
      [tf.tensor([1, 2]), tf.tensor([3, 4])],
      1,
    );
    expect(packed!.arraySync()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    const parts = runOp(
      'Unpack',
      [opAttr.int('num', 2), opAttr.type('T', 'float32'), opAttr.int('axis', 0)],
      [packed!],
      2,
    );
    expect(parts.map((part) => part.arraySync())).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  it('brings types that tfjs lacks back as int32 and float32', () => {
    const attrs = [
      opAttr.type('T', 'float32'),
      opAttr.type('Tidx', 'int32'),
      opAttr.type('output_type', 'int64'),
    ];
    const [index] = runOp('ArgMax', attrs, [tf.tensor([1, 5, 2]), tf.scalar(0, 'int32')], 1);
    expect([index!.dtype, index!.arraySync()]).toEqual(['int32', 1]);
    const cast = [
      opAttr.type('SrcT', 'float32'),
      opAttr.type('DstT', 'float64'),
      opAttr.bool('Truncate', false),
    ];
    const [wide] = runOp('Cast', cast, [tf.tensor([1.5])], 1);
    expect([wide!.dtype, wide!.arraySync()]).toEqual(['float32', [1.5]]);
  });

  it("throws TensorFlow's message", () => {
    const add = () => runOp('AddV2', [opAttr.type('T', 'float32')], [tf.zeros([2]), tf.zeros([3])], 1);
    expect(add).toThrow('AddV2: Incompatible shapes: [2] vs. [3]');
    expect(() => runOp('NoSuchOp', [], [], 1)).toThrow(/NoSuchOp/);
    expect(() => tf.matMul(tf.zeros([2, 3]), tf.zeros([2, 3]))).toThrow();
    const gone = tf.zeros([2]).add(1);
    gone.dispose();
    expect(() => runOp('Neg', [opAttr.type('T', 'float32')], [gone], 1)).toThrow();
  });

  it('refuses inputs that TensorFlow would end the process over', () => {
    const x = tf.zeros([2]);
    expect(() => runOp('AddV2', [opAttr.type('T', 'float32')], [x, x, x], 1)).toThrow(
      'expected 2 inputs, got 3',
    );
    expect(() => runOp('AddV2', [opAttr.type('T', 'float32')], [x], 1)).toThrow('expected 2 inputs, got 1');
    expect(() => runOp('Neg', [opAttr.type('T', 'float32')], [x], -1)).toThrow('number of outputs');
    const num = [opAttr.int('num', 2), opAttr.type('T', 'float32'), opAttr.int('axis', 0)];
    expect(() => runOp('Unpack', num, [x], 1)).toThrow('Expecting 2 outputs');
  });

  it('converts values of another type, as typed arrays do', () => {
    const binding = nativeBinding();
    const back = (dtype: number, values: Float32Array | Int32Array | BigInt64Array, count: number) => {
      const id = binding.createTensor([count], dtype, values);
      const read = Array.from(binding.tensorDataSync(id) as Int32Array, Number);
      binding.deleteTensor(id);
      return read;
    };
    expect(back(TF_DTYPE.int32, new Float32Array([1.5, -2.7, Number.NaN, 1e20]), 4)).toEqual([
      1,
      -2,
      0,
      2 ** 31 - 1,
    ]);
    expect(back(TF_DTYPE.int64, new Int32Array([5, 0, -1, -1]), 2)).toEqual([5, -1]);
    expect(back(TF_DTYPE.int64, new Int32Array([5, 6, -7]), 3)).toEqual([5, 6, -7]);
    expect(back(TF_DTYPE.int64, new BigInt64Array([5n, -7n]), 2)).toEqual([5, -7]);
    expect(back(TF_DTYPE.bool, new Float32Array([0, 0.5]), 2)).toEqual([0, 1]);
  });

  it('refuses values that do not fill the shape, and ids of nothing', () => {
    const binding = nativeBinding();
    expect(() => binding.createTensor([2], 1, new Float32Array(3))).toThrow(
      'shape [2] needs 2 values, but there are 3',
    );
    expect(() => binding.createTensor([2], 1000, new Float32Array(2))).toThrow();
    expect(() => binding.tensorDataSync(987654321)).toThrow('no tensor has id 987654321');
    expect(() => binding.deleteTensor(-1)).toThrow('no tensor has id -1');
    expect(() => binding.createTensor([-1], 1, new Float32Array(1))).toThrow('negative');
    expect(() => binding.createTensor([1.5], 1, new Float32Array(1))).toThrow('no count');
    expect(() => binding.createTensor([2 ** 32, 2 ** 32], 1, new Float32Array(0))).toThrow(
      'too many elements',
    );
  });
});

describe('memory', () => {
  it('keeps the number of tensors flat', () => {
    const before = [tf.memory().numTensors, nativeBinding().getNumOfTensors()];
    for (let i = 0; i < 50; i++) {
      tf.tidy(() => {
        const grad = tf.grad((x) =>
          tf
            .matMul(x as tf.Tensor2D, x as tf.Tensor2D)
            .softmax()
            .sum(),
        );
        grad(tf.ones([4, 4])).dataSync();
        expect(() =>
          runOp('AddV2', [opAttr.type('T', 'float32')], [tf.zeros([2]), tf.zeros([3])], 1),
        ).toThrow();
      });
    }
    expect([tf.memory().numTensors, nativeBinding().getNumOfTensors()]).toEqual(before);
  });

  it('keeps the memory of the process flat', () => {
    const megabyte = () =>
      tf.tidy(() => {
        const x = tf.fill([512, 512], 1.5);
        return tf.tensor(x.dataSync(), [512, 512]).add(x).sum().dataSync()[0]!;
      });
    for (let i = 0; i < 100; i++) megabyte();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 400; i++) expect(megabyte()).toBe(512 * 512 * 3);
    // 400 rounds touch 1.6 GB; what may stay is the garbage collector's slack.
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });

  it('shares aligned memory without a copy, and outlives either holder', () => {
    const values = alignedFloat32(40_000);
    values.fill(2);
    const x = tf.tensor(values, [200, 200]);
    const y = x.add(0);
    values[0] = 7;
    expect([x.add(0).dataSync()[0], y.dataSync()[0]]).toEqual([7, 2]);
    const read = x.dataSync();
    x.dispose();
    expect(read[1]).toBe(2);
    const again = tf.tensor(read, [200, 200]);
    expect(again.sum().dataSync()[0]).toBe(2 * 39_999 + 7);
  });

  it('saves and loads a layers model with file://', async () => {
    const { mkdtempSync, rmSync } = await import('node:fs');
    const folder = mkdtempSync('/tmp/tfgeo-model-');
    try {
      const model = tf.sequential({ layers: [tf.layers.dense({ units: 3, inputShape: [2] })] });
      await model.save(`file://${folder}`);
      const loaded = await tf.loadLayersModel(`file://${folder}/model.json`);
      const x = tf.tensor([[1, 2]]);
      expect((loaded.predict(x) as tf.Tensor).arraySync()).toEqual(
        (model.predict(x) as tf.Tensor).arraySync(),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
