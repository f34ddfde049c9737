// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  compile,
  nativeBinding,
  opAttr,
  ready,
  runOp,
  setTraceListener,
  type TraceReport,
  traceGraph,
} from '../../src/engine/index.js';
import { UserError } from '../../src/errors.js';

beforeAll(async () => {
  await ready({ engine: 'tensorflow' });
});

/** Tensors of TensorFlow.js, tensors of TensorFlow, functions. */
function counts(): number[] {
  const binding = nativeBinding();
  return [tf.memory().numTensors, binding.getNumOfTensors(), binding.getNumOfFunctions()];
}

let before: number[];
beforeEach(() => {
  before = counts();
});

/** Nothing of a test may be left: each frees what it holds. */
afterEach(() => {
  expect(counts()).toEqual(before);
});

function values(tensor: tf.Tensor): number[] {
  const result = Array.from(tensor.dataSync());
  tensor.dispose();
  return result;
}

/** A variable whose first value nobody else holds. */
function variable(values: tf.TensorLike, name?: string): tf.Variable {
  return tf.tidy(() => tf.variable(tf.tensor(values), true, name));
}

/** Runs `use` in a tidy with a compiled `fn`, and frees it. */
function withCompiled<A extends unknown[], R>(
  fn: (...args: A) => R,
  use: (compiled: ReturnType<typeof compile<A, R>>, reports: TraceReport[]) => void,
  maxTraces = 16,
): void {
  const reports: TraceReport[] = [];
  const compiled = compile(fn, { maxTraces, onTrace: (report) => reports.push(report) });
  try {
    tf.tidy(() => {
      use(compiled, reports);
    });
  } finally {
    compiled.dispose();
  }
}

describe('compile', () => {
  it('runs nested arguments to nested results, as the function does', () => {
    const fn = ({ a, rest }: { a: tf.Tensor; rest: [tf.Tensor, number, tf.Tensor | null] }) => ({
      sum: tf.add(a, rest[0]),
      list: [tf.mul(a, rest[1]), { twice: a, none: rest[2], text: 'as traced' }],
    });
    withCompiled(fn, (compiled) => {
      const args = { a: tf.tensor([1, 2]), rest: [tf.tensor([3, 4]), 5, null] as [tf.Tensor, number, null] };
      const result = compiled(args);
      expect(compiled.compiled).toBe(true);
      const [product, inner] = result.list as [tf.Tensor, { twice: tf.Tensor; none: null; text: string }];
      expect(result.sum.arraySync()).toEqual([4, 6]);
      expect(product.arraySync()).toEqual([5, 10]);
      expect(inner.twice.arraySync()).toEqual([1, 2]);
      expect(inner).toMatchObject({ none: null, text: 'as traced' });
      expect(inner.twice.dtype).toBe('float32');
    });
  });

  it('keeps types: int32, bool, string', () => {
    withCompiled(
      (x: tf.Tensor, s: tf.Tensor) => [tf.cast(x, 'int32'), tf.greater(x, 2), s] as const,
      (compiled) => {
        const [int, bool, text] = compiled(tf.tensor([1.5, 2.5]), tf.tensor(['ä', 'b']));
        expect([int.dtype, bool.dtype, text.dtype]).toEqual(['int32', 'bool', 'string']);
        expect([int.arraySync(), bool.arraySync(), text.arraySync()]).toEqual([
          [1, 2],
          [0, 1],
          ['ä', 'b'],
        ]);
      },
    );
  });

  it('runs JavaScript only when it traces, once for each signature, and says why', () => {
    let runs = 0;
    const fn = (x: tf.Tensor, factor: number) => {
      runs++;
      return tf.mul(x, factor);
    };
    withCompiled(fn, (compiled, reports) => {
      for (let i = 0; i < 3; i++) expect(values(compiled(tf.tensor([i, 1]), 2))).toEqual([2 * i, 2]);
      expect(runs).toBe(1);
      compiled(tf.tensor([1, 2, 3]), 2);
      compiled(tf.tensor([1, 2, 3]), 4);
      compiled(tf.tensor([1, 2, 3], [3], 'int32'), 4);
      expect(runs).toBe(4);
      expect(reports.map(({ count }) => count)).toEqual([1, 2, 3, 4]);
      expect(reports.map(({ reason }) => reason)).toEqual([
        'first call',
        'argument 0 was float32[2], is float32[3]',
        'argument 1 was 2, is 4',
        'argument 0 was float32[3], is int32[3]',
      ]);
    });
  });

  it('tells the listener of functions that tell nobody themselves', () => {
    const heard: string[] = [];
    const before = setTraceListener(({ name, reason }) => heard.push(`${name}: ${reason}`));
    const quiet = compile((x: tf.Tensor) => tf.add(x, 1), { name: 'quiet' });
    withCompiled(
      (x: tf.Tensor) => tf.add(x, 1),
      (compiled) => {
        compiled(tf.ones([2]));
        quiet(tf.ones([2]));
        quiet(tf.ones([3]));
      },
    );
    expect(setTraceListener(before)).not.toBe(before);
    expect(heard).toEqual(['quiet: first call', 'quiet: argument 0 was float32[2], is float32[3]']);
    quiet.dispose();
  });

  it('keeps at most maxTraces traces; the one not used for longest is freed', () => {
    let runs = 0;
    withCompiled(
      (x: tf.Tensor) => {
        runs++;
        return tf.add(x, 1);
      },
      (compiled) => {
        const call = (size: number) => values(compiled(tf.zeros([size])));
        call(1);
        call(2);
        call(1);
        call(3); // frees 2
        expect(compiled.traces).toBe(2);
        expect(nativeBinding().getNumOfFunctions()).toBe(before[2]! + 2);
        call(1);
        expect(runs).toBe(3);
        expect(call(2)).toEqual([1, 1]);
        expect(runs).toBe(4);
      },
      2,
    );
  });

  it('refuses typed arrays and makes classes part of the signature', () => {
    class Scale {
      constructor(readonly by: number) {}
    }
    withCompiled(
      (x: tf.Tensor, scale: Scale) => tf.mul(x, scale.by),
      (compiled) => {
        const double = new Scale(2);
        expect(values(compiled(tf.scalar(3), double))).toEqual([6]);
        expect(values(compiled(tf.scalar(4), double))).toEqual([8]);
        expect(values(compiled(tf.scalar(3), new Scale(3)))).toEqual([9]);
        expect(compiled.traces).toBe(2);
      },
    );
    withCompiled(
      (x: tf.Tensor, numbers: Float32Array) => tf.mul(x, numbers.length),
      (compiled) => {
        expect(() => compiled(tf.scalar(1), new Float32Array(2))).toThrow(/argument \[1\].*typed array/);
      },
    );
  });

  it('takes tensors from outside with the value they had, also after they are disposed', () => {
    const small = tf.tensor([1, 2]);
    const large = tf.ones([100, 100]);
    withCompiled(
      (x: tf.Tensor) => tf.add(tf.sum(tf.mul(large, x)), tf.sum(small)),
      (compiled, reports) => {
        expect(values(compiled(tf.scalar(2)))).toEqual([20003]);
        expect(reports[0]!.captured).toBe(1);
        small.dispose();
        large.dispose();
        expect(values(compiled(tf.scalar(3)))).toEqual([30003]);
      },
    );
  });

  it('lets a cache keep tables that it makes while tracing', () => {
    const cache = new Map<string, tf.Tensor>();
    const table = () => {
      const made = cache.get('table') ?? tf.keep(tf.mul(tf.tensor([1, 2, 3]), 2));
      cache.set('table', made);
      return made;
    };
    withCompiled(
      (x: tf.Tensor) => tf.add(x, table()),
      (compiled) => {
        expect(values(compiled(tf.scalar(1)))).toEqual([3, 5, 7]);
        expect(cache.get('table')!.arraySync()).toEqual([2, 4, 6]);
      },
    );
    cache.get('table')!.dispose();
  });

  it('computes with large constants and reads values that are known', () => {
    withCompiled(
      (x: tf.Tensor) => {
        const known = tf.tensor([0, 2, 1], [3], 'int32').dataSync();
        return tf.add(tf.mul(x, tf.ones([64, 128])), tf.gather(tf.tensor([5, 6, 7]), known[1]!));
      },
      (compiled) => {
        const result = compiled(tf.scalar(2));
        expect(result.shape).toEqual([64, 128]);
        expect(tf.sum(result).dataSync()[0]).toBe(64 * 128 * 9);
      },
    );
  });

  it('is part of a compiled function that calls it, and gives way inside a gradient', () => {
    const inner = compile((x: tf.Tensor) => tf.square(x));
    withCompiled(
      (x: tf.Tensor) => tf.add(inner(x), 1),
      (outer) => {
        expect(values(outer(tf.scalar(3)))).toEqual([10]);
        expect(inner.traces).toBe(0);
        expect(values(tf.grad((x) => inner(x))(tf.scalar(3)))).toEqual([6]);
        expect(values(inner(tf.scalar(3)))).toEqual([9]);
        expect(inner.traces).toBe(1);
      },
    );
    inner.dispose();
  });

  it('only calls the function on other engines, freeing what lies between', async () => {
    const compiled = compile((x: tf.Tensor) => tf.add(tf.mul(x, 2), 1));
    await ready({ engine: 'cpu' });
    const started = tf.memory().numTensors;
    const x = tf.tensor([1, 2]);
    const y = compiled(x);
    expect(compiled.compiled).toBe(false);
    expect(y.arraySync()).toEqual([3, 5]);
    expect(tf.memory().numTensors).toBe(started + 2);
    tf.dispose([x, y]);
    await ready({ engine: 'tensorflow' });
  });
});

describe('variables in compiled functions', () => {
  it('are read on every call, wherever they were assigned', () => {
    const w = variable([1, 2]);
    withCompiled(
      (x: tf.Tensor) => tf.mul(w, x),
      (compiled) => {
        expect(values(compiled(tf.scalar(2)))).toEqual([2, 4]);
        w.assign(tf.tensor([5, 6]));
        expect(values(compiled(tf.scalar(2)))).toEqual([10, 12]);
        expect(compiled.traces).toBe(1);
      },
    );
    w.dispose();
  });

  it('are assigned on every call, and tell two that share a value apart', () => {
    const a = variable(1);
    const b = tf.tidy(() => tf.variable(a));
    withCompiled(
      (x: tf.Tensor) => {
        a.assign(tf.add(a, x) as tf.Scalar);
        b.assign(tf.mul(a, 10) as tf.Scalar);
        a.assign(tf.add(a, 1) as tf.Scalar);
      },
      (compiled) => {
        compiled(tf.scalar(1));
        expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([3, 20]);
        compiled(tf.scalar(2));
        expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([6, 50]);
      },
    );
    a.dispose();
    b.dispose();
  });

  it('train with an optimizer of TensorFlow.js as they do without', () => {
    const train = (compiled: boolean) =>
      tf.tidy(() => {
        const w = tf.variable(tf.tensor2d([0.5, -1, 2, 0.25], [4, 1]));
        const optimizer = tf.train.adam(0.05);
        const x = tf.tensor2d([1, 2, 3, 4, -1, 0, 2, 1], [2, 4]);
        const fn = (batch: tf.Tensor2D) => {
          const { value, grads } = tf.variableGrads(
            () => tf.mean(tf.square(tf.relu(tf.matMul(batch, w as unknown as tf.Tensor2D)))) as tf.Scalar,
            [w],
          );
          optimizer.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })));
          return value;
        };
        const step = compile(fn, { enabled: compiled });
        const losses = Array.from({ length: 6 }, () => values(step(x))[0]!);
        // The first step makes the optimizer's variables, so it runs as it is.
        expect(step.traces).toBe(compiled ? 1 : 0);
        const result = [...losses, ...w.dataSync()];
        step.dispose();
        optimizer.dispose();
        w.dispose();
        return result;
      });
    const eager = train(false);
    train(true).forEach((value, i) => {
      expect(value).toBeCloseTo(eager[i]!, 5);
    });
  });

  it('that were disposed are named', () => {
    const w = variable(1, 'the_weight');
    withCompiled(
      (x: tf.Tensor) => tf.mul(w, x),
      (compiled) => {
        compiled(tf.scalar(2));
        w.dispose();
        expect(() => compiled(tf.scalar(2))).toThrow(/the_weight.*disposed/);
      },
    );
  });
});

describe('frozen variables', () => {
  it('are constants, whatever depends on them alone is computed once, and an assignment traces anew', () => {
    const w = tf.tidy(() => tf.variable(tf.ones([100, 100])));
    const v = variable([2, 3]);
    const reports: TraceReport[] = [];
    const compiled = compile((x: tf.Tensor) => tf.sum(tf.mul(tf.transpose(tf.add(w, w)), x)), {
      frozen: true,
      onTrace: (report) => reports.push(report),
    });
    tf.tidy(() => {
      expect(values(compiled(tf.scalar(1)))).toEqual([20000]);
      // The argument, what was computed of w, its place among the inputs, product, axes, sum, result.
      expect(reports[0]).toMatchObject({ nodes: 6, captured: 1 });
      v.assign(tf.tensor([1, 1]));
      expect(values(compiled(tf.scalar(2)))).toEqual([40000]);
      expect(reports).toHaveLength(1);
      w.assign(tf.zeros([100, 100]));
      expect(values(compiled(tf.scalar(2)))).toEqual([0]);
      expect(reports[1]!.reason).toBe(`variable ${w.name} was assigned`);
      expect(compiled.traces).toBe(1);
      w.dispose();
      expect(() => compiled(tf.scalar(2))).toThrow(/was disposed/);
    });
    compiled.dispose();
    v.dispose();
  });

  it('must not be assigned inside, and keep their values if one tries', () => {
    const w = variable([1, 2]);
    const compiled = compile((x: tf.Tensor) => w.assign(x), { frozen: true });
    tf.tidy(() => {
      expect(() => compiled(tf.tensor([3, 4]))).toThrow(/must not assign/);
    });
    expect(Array.from(w.dataSync())).toEqual([1, 2]);
    w.dispose();
  });
});

describe('warmup', () => {
  it('runs the first calls of each signature as they are', () => {
    const compiled = compile((x: tf.Tensor) => tf.add(x, 1), { warmup: 2 });
    const call = (size: number) => {
      tf.tidy(() => void compiled(tf.ones([size])));
      return compiled.compiled;
    };
    expect([call(1), call(2), call(1), call(1), call(2), call(2)]).toEqual([
      false,
      false,
      false,
      true,
      false,
      true,
    ]);
    compiled.dispose();
  });
});

describe('traceGraph', () => {
  it('gives the graph of a function, its nodes by name, variables apart or as constants', () => {
    const w = variable([1, 2], 'graph_weight');
    const large = tf.ones([100, 100]);
    const fn = ({ x }: { x: tf.Tensor }) => ({ y: tf.mul(w, x), z: [tf.sum(tf.mul(large, x))] });
    const args: [{ x: tf.Tensor }] = [{ x: tf.zeros([]) }];
    const open = traceGraph(fn, args);
    const text = (graph: Uint8Array) => Buffer.from(graph).toString('latin1');
    expect(open.arguments).toMatchObject([{ shape: [], dtype: 'float32' }]);
    expect(open.variables).toMatchObject([{ shape: [2], variable: { name: 'graph_weight' } }]);
    expect(open.results.map(({ shape }) => shape)).toEqual([[2], []]);
    for (const { node } of [...open.arguments, ...open.variables, ...open.results]) {
      expect(text(open.graph)).toContain(node);
    }
    expect(open.graph.length).toBeGreaterThan(40000);
    const closed = traceGraph(fn, args, { frozen: true });
    expect(closed.variables).toEqual([]);
    expect(() => traceGraph(() => w.assign(tf.tensor([1, 2])), [])).toThrow(/must not assign graph_weight/);
    tf.dispose([w, large, args[0].x]);
  });
});

describe('gradients in compiled functions', () => {
  it('of ops, customGrad and second order equal those outside', () => {
    const cube = tf.customGrad((...args) => {
      const [x, save] = args as [tf.Tensor, tf.GradSaveFunc];
      save([x]);
      return {
        value: tf.mul(x, tf.square(x)),
        gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, tf.mul(3, tf.square(saved[0]!))),
      };
    });
    const fn = (x: tf.Tensor) => ({
      custom: tf.grad((y) => tf.sum(cube(y)))(x),
      second: tf.grad((y) => tf.grad((z) => tf.sum(tf.pow(z, 4)))(y))(x),
      deep: tf.grad((y) => tf.logSumExp(tf.tanh(tf.softmax(tf.concat([y, tf.mul(y, 2)])))))(x),
    });
    withCompiled(fn, (compiled) => {
      const x = tf.tensor([1, 2, -0.5]);
      const eager = fn(x);
      const traced = compiled(x);
      for (const key of ['custom', 'second', 'deep'] as const) {
        traced[key].dataSync().forEach((value, i) => {
          expect(value).toBeCloseTo(eager[key].dataSync()[i]!, 5);
        });
      }
    });
  });
});

describe('errors in compiled functions', () => {
  const failing: [string, (x: tf.Tensor) => unknown, RegExp][] = [
    [
      'dataSync',
      (x) => tf.mul(x, x.dataSync()[0]!),
      /value of a tensor is read.* in dataSync, called at .*function\.test\.ts:\d+:\d+/,
    ],
    ['arraySync', (x) => [x.arraySync(), x], /in (dataSync|arraySync), called at .*function\.test\.ts/],
    ['data, which fails nowhere else', (x) => [x.data(), x], /in data, called at .*function\.test\.ts/],
    [
      'shapes that depend on values',
      (x) => runOp('Where', [opAttr.type('T', 'float32')], [x], 1)[0]!,
      /output 0 of Where depends on values: \[\?,1\].*function\.test\.ts/,
    ],
    ['a promise', async (x) => x, /must not be async/],
    ['kept tensors', (x) => [tf.keep(tf.add(x, 1)), x].slice(1), /1 tensor\(s\).*are kept.*float32\[2\]/],
    [
      'what the function throws',
      () => {
        throw new RangeError('of its own');
      },
      /of its own/,
    ],
    ['what TensorFlow throws', (x) => tf.reshape(x, [2]) && runOp('MatMul', [], [x, x], 1)[0]!, /MatMul/],
    [
      'errors inside a gradient',
      (x) =>
        tf.grad((y) => {
          tf.square(y).dataSync();
          return tf.sum(y);
        })(x),
      /in dataSync/,
    ],
  ]; // prettier-ignore

  it.each(failing)('%s: said with its line, and the engine goes on', (_, fn, message) => {
    const w = variable(7);
    const depth = tf.engine().state.scopeStack.length;
    withCompiled(
      (x: tf.Tensor) => {
        w.assign(tf.scalar(1));
        return fn(x);
      },
      (compiled) => {
        for (let i = 0; i < 2; i++) expect(() => compiled(tf.tensor([1, 2]))).toThrow(message);
      },
    );
    expect(tf.engine().state).toMatchObject({ gradientDepth: 0, kernelDepth: 0 });
    expect(tf.engine().state.scopeStack.length).toBe(depth);
    expect(w.dataSync()[0]).toBe(7);
    expect(
      tf.tidy(
        () =>
          tf
            .grad((x) => tf.sum(tf.square(x)))(tf.scalar(3))
            .dataSync()[0],
      ),
    ).toBe(6);
    w.dispose();
  });

  it('a value that is read is a UserError with the cause', () => {
    withCompiled(
      (x: tf.Tensor) => x.dataSync(),
      (compiled) => {
        expect(() => compiled(tf.scalar(1))).toThrow(UserError);
      },
    );
  });

  it('errors of the run name the op, and the function stays usable', () => {
    withCompiled(
      (x: tf.Tensor, i: tf.Tensor) => tf.gather(x, i as tf.Tensor1D),
      (compiled) => {
        const x = tf.tensor([1, 2, 3]);
        expect(() => compiled(x, tf.tensor1d([0, 7], 'int32'))).toThrow(
          /indices\[1\] = 7 is not in \[0, 3\)/,
        );
        expect(values(compiled(x, tf.tensor1d([0, 2], 'int32')))).toEqual([1, 3]);
      },
    );
  });

  it('a tensor that escaped its trace says that it has no value', () => {
    let escaped: tf.Tensor | null = null;
    withCompiled(
      (x: tf.Tensor) => {
        escaped = x;
        return tf.add(x, 1);
      },
      (compiled) => {
        compiled(tf.scalar(1));
        expect(() => escaped!.dataSync()).toThrow(/disposed/);
      },
    );
  });
});

describe('side effects in compiled functions', () => {
  it('draw anew on every call', () => {
    withCompiled(
      (x: tf.Tensor) => {
        const shape = tf.tensor1d([4], 'int32');
        const attrs = [opAttr.type('dtype', 'float32'), opAttr.type('T', 'int32')];
        return tf.add(x, runOp('RandomUniform', attrs, [shape], 1)[0]!);
      },
      (compiled) => {
        const first = values(compiled(tf.scalar(0)));
        expect(values(compiled(tf.scalar(0)))).not.toEqual(first);
      },
    );
  });

  it('happen in order, whether anything uses their results or not', () => {
    // A table of tensors outside of the function.
    const attrs = [opAttr.string('shared_name', 'compile_order'), opAttr.string('container', '')];
    const dtypes = opAttr.type('dtypes', ['float32']);
    withCompiled(
      (x: tf.Tensor) => {
        for (let i = 1; i <= 3; i++) runOp('Stage', [dtypes, ...attrs], [tf.mul(x, i)], 0);
      },
      (compiled) => {
        compiled(tf.scalar(1));
        compiled(tf.scalar(10));
        const taken = Array.from(
          { length: 6 },
          () => values(runOp('Unstage', [dtypes, ...attrs], [], 1)[0]!)[0],
        );
        expect(taken).toEqual([1, 2, 3, 10, 20, 30]);
      },
    );
  });
});

describe('memory of compiled functions', () => {
  it('stays flat over 200 calls and over traces that come and go', () => {
    const w = tf.tidy(() => tf.variable(tf.ones([32, 32])));
    const fn = (x: tf.Tensor2D) => {
      const { value, grads } = tf.variableGrads(
        () => tf.mean(tf.square(tf.matMul(x, w as tf.Tensor2D))) as tf.Scalar,
        [w],
      );
      w.assign(tf.sub(w, tf.mul(grads[w.name]!, 0.01)));
      return value;
    };
    withCompiled(
      fn,
      (compiled) => {
        let settled: number[] = [];
        for (let i = 0; i < 200; i++) {
          const x = tf.ones([1 + (i % 3), 32]) as tf.Tensor2D;
          values(compiled(x));
          x.dispose();
          if (i === 10) settled = counts();
        }
        expect(counts()).toEqual(settled);
      },
      2,
    );
    w.dispose();
  });
});
