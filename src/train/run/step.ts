// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { RunConfig } from '../config/schema.js';
import { shownRates } from '../groups.js';
import { type AdamW, lossAndGradients } from '../optimizer.js';
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

/**
 * One optimizer step on `batch`: loss and gradients, a look whether both are finite, then the update. Frees everything
 * it makes.
 *
 * @param step steps done before this one
 * @throws UserError (exit code `diverged`) before anything is changed, if loss or gradients are not finite
 */
export function takeStep(
  { task, optimizer, config, total }: { task: TrainTask; optimizer: AdamW; config: RunConfig; total: number },
  step: number,
  batch: unknown,
  wantParts: boolean,
): StepResult {
  const { value, parts, gradients } = gradientsOf(task, batch);
  const pending = optimizer.gather(gradients);
  try {
    const loss = value.dataSync()[0]!;
    const gradNorm = pending.gradNorm.dataSync()[0]!;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw divergence(step + 1, { loss, gradNorm }, parts, gradients, task.sampleIds(batch));
    }
    const factor = learningRateFactor(config, step, total);
    pending.apply(factor);
    const lr = shownRates(optimizer.learningRates(factor));
    return { loss, gradNorm, lr, parts: wantParts ? readParts(parts) : null };
  } finally {
    pending.dispose();
    tf.dispose([value, ...Object.values(parts), ...gradients.values()]);
  }
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

function gradientsOf(task: TrainTask, batch: unknown) {
  let parts: TaskLoss['parts'] = {};
  const { value, gradients } = lossAndGradients(task.parameters(), () => {
    const loss = task.loss(batch);
    parts = Object.fromEntries(
      Object.entries(loss.parts).map(([name, part]) => [name, tf.keep(part.clone())]),
    );
    return loss.total;
  });
  return { value, parts, gradients };
}

function readParts(parts: TaskLoss['parts']): Record<string, number> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.dataSync()[0]!]));
}

/** Says what is not finite, and on which samples. */
function divergence(
  step: number,
  { loss, gradNorm }: { loss: number; gradNorm: number },
  parts: TaskLoss['parts'],
  gradients: Map<string, tf.Tensor>,
  samples: string[],
): UserError {
  const list = (names: string[]) => `${names.slice(0, 4).join(', ')}${names.length > 4 ? ', ...' : ''}`;
  const badParts = Object.entries(readParts(parts)).filter(([, value]) => !Number.isFinite(value));
  const badGradients = [...gradients].filter(([, gradient]) => !allFinite(gradient)).map(([name]) => name);
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
