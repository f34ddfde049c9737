// SPDX-License-Identifier: Apache-2.0
import { didYouMean, UserError } from '../errors.js';

/** What a schedule is told; each kind reads what it needs. Steps are optimizer steps, counted from 0. */
export interface ScheduleOptions {
  /** Steps of the whole run. */
  total: number;
  /** Steps over which the rate rises to its full value. */
  warmup?: number;
  /** `step`: steps between two drops. */
  stepSize?: number;
  /** `multi_step`: steps at which the rate drops. */
  milestones?: readonly number[];
  /** `step`, `multi_step`: factor of a drop; default 0.1. */
  gamma?: number;
  /** `cosine`: the rate at the end, as a part of the full one; default 0. */
  floor?: number;
}

/** Factor of the learning rate used in `step`. */
type Schedule = (step: number, options: ScheduleOptions) => number;

/** Rises over `warmup` steps from 1 / warmup to 1, so that no step is lost. */
function rise(step: number, { warmup = 0 }: ScheduleOptions): number {
  return step < warmup ? (step + 1) / warmup : 1;
}

/** Every schedule by name; the configuration's choices and the documentation come from here. */
const SCHEDULES = {
  constant: {
    about: 'the full rate after the warm-up',
    factor: (step, options) => rise(step, options),
  },
  step: {
    about: 'times gamma every stepSize steps',
    factor: (step, options) =>
      rise(step, options) * (options.gamma ?? 0.1) ** Math.floor(step / (options.stepSize ?? options.total)),
  },
  multi_step: {
    about: 'times gamma at every milestone',
    factor: (step, options) =>
      rise(step, options) *
      (options.gamma ?? 0.1) ** (options.milestones ?? []).filter((at) => at <= step).length,
  },
  linear_warmup: {
    about: 'from 0 to the full rate over the warm-up, then straight to 0 (as in Hugging Face transformers)',
    factor: (step, { warmup = 0, total }) =>
      step < warmup ? step / Math.max(1, warmup) : Math.max(0, (total - step) / Math.max(1, total - warmup)),
  },
  cosine: {
    about: 'after the warm-up half a cosine down to floor at the end of the run',
    factor: (step, options) => {
      const { warmup = 0, total, floor = 0 } = options;
      if (step < warmup) return rise(step, options);
      const progress = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
      return floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
    },
  },
} as const satisfies Record<string, { about: string; factor: Schedule }>;

export type ScheduleName = keyof typeof SCHEDULES;

export const SCHEDULE_NAMES = Object.keys(SCHEDULES) as ScheduleName[];

/** Factor of the learning rate in `step` (from 0) under the named schedule. */
export function scheduleFactor(name: string, step: number, options: ScheduleOptions): number {
  if (!Object.hasOwn(SCHEDULES, name)) {
    const guess = didYouMean(name, SCHEDULE_NAMES);
    throw new UserError(
      `schedule: unknown name "${name}"${guess ? `, did you mean "${guess}"?` : `, choose one of ${SCHEDULE_NAMES.join(', ')}`}`,
    );
  }
  return SCHEDULES[name as ScheduleName].factor(step, options);
}
