// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import {
  type Compiled,
  compile,
  inScope,
  type Profile,
  profileFunction,
  type TraceReport,
} from '../../engine/index.js';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { RunConfig } from '../config/schema.js';
import { type Ema, moved, warmDecay } from '../ema.js';
import { shownRates } from '../groups.js';
import { type AdamW, globalNorm, lossAndGradients, type Slots } from '../optimizer.js';
import { scheduleFactor } from '../schedule.js';
import type { TaskLoss, TrainTask } from '../task.js';

/** What one step gave. */
export interface StepResult {
  loss: number;
  gradNorm: number;
  lr: Record<string, number>;
  /** Parts of the loss; read only when asked for. */
  parts: Record<string, number> | null;
}

export interface StepParts {
  task: TrainTask;
  optimizer: AdamW;
  config: RunConfig;
  ema: Ema | null;
  /** Steps of the whole run. */
  total: number;
}

/** Inputs of the task, layout of the buckets, their vectors, and the numbers of the update. */
type StepArguments = [inputs: unknown, layout: number, slots: Slots[], numbers: tf.Tensor1D];

/** What a step computes; nothing of it is applied yet. */
interface Computed {
  loss: tf.Scalar;
  gradNorm: tf.Scalar;
  parts: TaskLoss['parts'];
  /** Of every bucket: its vectors that change, and the new parameters one by one where they do. */
  buckets: { slots: Slots; values: tf.Tensor[] | null }[];
}

/** Which parameters have a gradient is known only inside; the buckets are then divided outside. */
class NotArranged extends Error {
  constructor(readonly gradients: ReadonlyMap<string, unknown>) {
    super('buckets hold parameters with and without gradients');
  }
}

/** Numbers that a step is given for each bucket: those of its update, and how far averages move. */
const NUMBERS = 4;
/** Combinations of shapes whose compiled steps are kept. */
const MAX_TRACES = 32;

/**
 * Optimizer steps: forward, losses, backward, clipping, AdamW and averages as one compiled function, which takes the
 * optimizer's vectors and gives the new ones.
 */
export class Stepper {
  private readonly step: (...args: StepArguments) => Computed;
  private readonly compute: Compiled<StepArguments, Computed>;

  /** @param compiled false runs the same function operation by operation */
  constructor(
    private readonly parts: StepParts,
    compiled: boolean,
    onTrace?: (report: TraceReport) => void,
  ) {
    this.step = (inputs, _layout, slots, numbers) => computeStep(parts, inputs, slots, numbers);
    this.compute = compile(this.step, {
      name: 'training step',
      maxTraces: MAX_TRACES,
      enabled: compiled,
      ...(onTrace ? { onTrace } : {}),
    });
  }

  /**
   * One optimizer step on `batch`: loss and gradients, a look whether both are finite, then the update. Frees everything
   * it makes. Compiled, it runs beside the JavaScript thread, where the next batch can be made meanwhile.
   *
   * @param step steps done before this one
   * @throws UserError (exit code `diverged`) before anything is changed, if loss or gradients are not finite
   */
  async take(step: number, batch: unknown, wantParts: boolean): Promise<StepResult> {
    const { task, optimizer, config, total } = this.parts;
    const factor = learningRateFactor(config, step, total);
    const computed = await this.withNumbers(task.inputs(batch), step, factor, this.compute.background);
    const loss = computed.loss.dataSync()[0]!;
    const gradNorm = computed.gradNorm.dataSync()[0]!;
    const parts = wantParts ? readParts(computed.parts) : null;
    tf.dispose([computed.loss, computed.gradNorm, ...Object.values(computed.parts)]);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      tf.dispose(computed.buckets as unknown as tf.TensorContainer);
      throw divergence(step + 1, { loss, gradNorm }, task, batch);
    }
    this.apply(computed);
    return { loss, gradNorm, lr: shownRates(optimizer.learningRates(factor)), parts };
  }

  /** Frees the compiled functions. */
  dispose(): void {
    this.compute.dispose();
  }

  /**
   * What a step on `batch` spends its time on; changes nothing.
   * @throws UserError if the engine is not `tensorflow`
   */
  profile(batch: unknown, runs?: number): Promise<Profile> {
    const options = { name: 'training step', ...(runs === undefined ? {} : { runs }) };
    const { task } = this.parts;
    return this.withNumbers(task.inputs(batch), 0, 1, async (...args) =>
      profileFunction(this.step, args, options),
    );
  }

  /** Calls `run` with what a step is given, once buckets are arranged. */
  private async withNumbers<R>(
    inputs: unknown,
    step: number,
    factor: number,
    run: (...args: StepArguments) => Promise<R>,
  ): Promise<R> {
    const { optimizer, ema, config } = this.parts;
    const { store } = optimizer;
    const decay = config.emaWarmup ? warmDecay(config.ema, step) : config.ema;
    for (;;) {
      const numbers = tf.tensor1d(
        store.buckets.flatMap((bucket) => {
          return [...optimizer.numbers(bucket, factor), ema ? 1 - decay : 0];
        }),
      );
      try {
        return await run(inputs, store.layout, store.slots(), numbers);
      } catch (error) {
        if (!(error instanceof NotArranged)) throw error;
        optimizer.arrange(error.gradients);
      } finally {
        numbers.dispose();
      }
    }
  }

  private apply({ buckets }: Computed): void {
    const { store } = this.parts.optimizer;
    buckets.forEach(({ slots, values }, i) => {
      const bucket = store.buckets[i]!;
      store.commit(bucket, slots, values);
      if (!values) return;
      tf.dispose(values);
      bucket.steps++;
    });
  }
}

/** Loss, gradients and everything that follows from them, as a function of tensors. */
function computeStep(
  { task, optimizer, ema }: StepParts,
  inputs: unknown,
  slots: Slots[],
  numbers: tf.Tensor1D,
): Computed {
  const { value, parts, gradients } = gradientsOf(task, inputs);
  if (!optimizer.isArrangedFor(gradients))
    throw new NotArranged(new Map([...gradients.keys()].map((name) => [name, 1])));
  const updated = inScope('optimizer', () => computeUpdate(optimizer, ema, gradients, slots, numbers));
  return { loss: value, parts, ...updated };
}

/** Clipping, AdamW and averages. */
function computeUpdate(
  optimizer: AdamW,
  ema: Ema | null,
  gradients: ReadonlyMap<string, tf.Tensor>,
  slots: Slots[],
  numbers: tf.Tensor1D,
): Pick<Computed, 'gradNorm' | 'buckets'> {
  const { buckets } = optimizer.store;
  const own = buckets.map((bucket) => optimizer.gradientsOf(bucket, gradients));
  const gradNorm = globalNorm(own.filter((list) => list !== null));
  const scale = optimizer.clipScale(gradNorm);
  const next = buckets.map((_, i) => {
    const list = own[i]!;
    const given = tf.slice1d(numbers, i * NUMBERS, NUMBERS);
    if (list) return optimizer.updated(slots[i]!, list, scale, given, ema?.slot ?? null);
    // Averages of what no longer learns still come nearer.
    const still = ema
      ? {
          [ema.slot]: moved(
            slots[i]![ema.slot]!,
            slots[i]!.param!,
            tf.reshape(tf.slice1d(given, NUMBERS - 1, 1), []),
          ),
        }
      : {};
    return { slots: still, values: null };
  });
  return { gradNorm, buckets: next };
}

/** Factor of the learning rate in the step that follows `step` done ones. */
function learningRateFactor(config: RunConfig, step: number, total: number): number {
  return scheduleFactor(config.schedule, step, {
    total,
    warmup: config.warmup,
    stepSize: config.lrDropEvery ?? undefined,
    milestones: config.lrMilestones,
    gamma: config.lrGamma,
    floor: config.lrFloor,
  });
}

function gradientsOf(task: TrainTask, inputs: unknown) {
  let kept: tf.Scalar[] = [];
  let names: string[] = [];
  try {
    const { value, gradients } = lossAndGradients(task.parameters(), () => {
      const loss = inScope('losses', () => task.loss(inputs));
      names = Object.keys(loss.parts);
      // The scope of the gradient would free them.
      kept = Object.values(loss.parts).map((part) => tf.keep(part.clone()));
      return loss.total;
    });
    const parts = Object.fromEntries(names.map((name, i) => [name, tf.clone(kept[i]!)]));
    return { value, parts, gradients };
  } finally {
    tf.dispose(kept);
  }
}

function readParts(parts: TaskLoss['parts']): Record<string, number> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.dataSync()[0]!]));
}

/** Says what is not finite, and on which samples: the step is computed again for that. */
function divergence(
  step: number,
  { loss, gradNorm }: { loss: number; gradNorm: number },
  task: TrainTask,
  batch: unknown,
): UserError {
  const samples = task.sampleIds(batch);
  const list = (names: string[]) => `${names.slice(0, 4).join(', ')}${names.length > 4 ? ', ...' : ''}`;
  const { badParts, badGradients } = tf.tidy(() => {
    const { parts, gradients } = gradientsOf(task, task.inputs(batch));
    return {
      badParts: Object.entries(readParts(parts)).filter(([, value]) => !Number.isFinite(value)),
      badGradients: [...gradients].filter(([, gradient]) => !allFinite(gradient)).map(([name]) => name),
    } as unknown as tf.TensorContainer;
  }) as unknown as { badParts: [string, number][]; badGradients: string[] };
  const what = Number.isFinite(loss)
    ? `the gradient is ${gradNorm} (${badGradients.length === 0 ? 'its norm overflows' : list(badGradients)})`
    : `the loss is ${loss} (${badParts.length === 0 ? 'no single part' : list(badParts.map(([name, value]) => `${name} ${value}`))})`;
  return new UserError(
    `step ${step}: ${what} on samples ${list(samples)}. The step was not applied; continue from the last checkpoint with a lower --lr, or look at these samples.`,
    EXIT_CODES.diverged,
  );
}

function allFinite(tensor: tf.Tensor): boolean {
  return tensor.dataSync().every((value) => Number.isFinite(value));
}
