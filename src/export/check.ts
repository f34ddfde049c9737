// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { type HostTensor, SavedModelSession } from '../engine/index.js';
import { EXIT_CODES, UserError } from '../errors.js';
import { packageRoot } from '../package.js';
import { readSavedModel } from './saved_model.js';
import type { SignatureDef } from './tensorflow_messages.js';
import { type Example, readExamples } from './warmup.js';

/** How far an exported model may be from the one it was made of. */
export const TOLERANCE = 1e-4;

/** What a check found. */
export interface CheckReport {
  examples: number;
  values: number;
  /** Largest difference, relative to the larger of 1 and the expected value. */
  largest: number;
}

/**
 * Runs the examples that a SavedModel carries and compares its answers. Engine `tensorflow` must be ready.
 *
 * Rows of queries count as a set: where two have nearly the same score, rounding may exchange them.
 * @throws UserError naming the output that differs by more than `tolerance`
 */
export async function checkExamples(folder: string, tolerance = TOLERANCE): Promise<CheckReport> {
  const { signatures } = await readSavedModel(folder);
  const examples = await readExamples(folder);
  if (examples.length === 0) {
    throw new UserError(`${folder} carries no examples to compare with`, EXIT_CODES.data);
  }
  const session = SavedModelSession.open(folder);
  const report = { examples: examples.length, values: 0, largest: 0 };
  try {
    for (const example of examples) {
      const actual = await answer(session, signatures.get(example.signature), example);
      const { values, largest } = compareAnswers(example, actual, tolerance);
      report.values += values;
      report.largest = Math.max(report.largest, largest);
    }
  } finally {
    session.close();
  }
  if (report.largest <= tolerance) return report;
  throw new UserError(
    `${folder} differs from its model by ${report.largest.toExponential(2)}, more than ${tolerance}`,
    EXIT_CODES.internal,
  );
}

async function answer(
  session: SavedModelSession,
  signature: SignatureDef | undefined,
  { inputs, outputs, signature: name }: Example,
): Promise<Map<string, HostTensor>> {
  const tensor = (ports: SignatureDef['inputs'] | undefined, port: string): string => {
    const info = ports?.get(port);
    if (info) return info.name;
    throw new UserError(`signature ${name} has no ${port}`, EXIT_CODES.internal);
  };
  const fed = new Map([...inputs].map(([port, value]) => [tensor(signature?.inputs, port), value]));
  const wanted = [...outputs.keys()];
  const results = await session.run(
    fed,
    wanted.map((port) => tensor(signature?.outputs, port)),
  );
  return new Map(wanted.map((port, i) => [port, results[i]!]));
}

/** Outputs of one example, one entry a row of a query. */
interface Rows {
  count: number;
  /** Values of a row, all outputs one after the other. */
  row(index: number): number[];
}

/** @returns how many values were compared, and the largest difference */
export function compareAnswers(
  { signature, outputs }: Example,
  actual: ReadonlyMap<string, HostTensor>,
  tolerance: number,
): { values: number; largest: number } {
  for (const [name, { shape }] of outputs) {
    const given = actual.get(name)?.shape ?? [];
    if (`${given}` !== `${shape}`) {
      throw new UserError(
        `output ${name} of signature ${signature} has shape [${given}] instead of [${shape}]`,
        EXIT_CODES.internal,
      );
    }
  }
  const perItem = [...outputs].filter(([, { shape }]) => shape.length === 1);
  const perRow = [...outputs].filter(([, { shape }]) => shape.length > 1);
  let values = 0;
  let largest = 0;
  for (const [name, { values: expected }] of perItem) {
    largest = Math.max(largest, differenceOf(numbers(expected), numbers(actual.get(name)!.values)));
    values += expected.length;
  }
  const [batch = 0] = perRow[0]?.[1].shape ?? [];
  for (let item = 0; item < batch; item++) {
    const names = perRow.map(([name]) => name);
    const found = compareRows(rowsOf(outputs, names, item), rowsOf(actual, names, item), tolerance);
    largest = Math.max(largest, found.largest);
    values += found.values;
  }
  return { values, largest };
}

function rowsOf(tensors: ReadonlyMap<string, HostTensor>, names: readonly string[], item: number): Rows {
  const parts = names.map((name) => {
    const { shape, values } = tensors.get(name)!;
    const count = shape[1]!;
    const size = shape.slice(2).reduce((product, side) => product * side, 1);
    return { size, values: numbers(values), begin: item * count * size, count };
  });
  return {
    count: parts[0]!.count,
    row: (index) =>
      parts.flatMap(({ size, values, begin }) => [
        ...values.slice(begin + index * size, begin + (index + 1) * size),
      ]),
  };
}

function compareRows(expected: Rows, actual: Rows, tolerance: number): { values: number; largest: number } {
  const free = new Set(Array.from({ length: actual.count }, (_, i) => i));
  let values = 0;
  let largest = 0;
  for (let i = 0; i < expected.count; i++) {
    const row = expected.row(i);
    let best = i;
    let least = free.has(i) ? differenceOf(row, actual.row(i)) : Number.POSITIVE_INFINITY;
    if (!(least <= tolerance)) {
      for (const other of free) {
        const difference = differenceOf(row, actual.row(other));
        if (difference < least) [best, least] = [other, difference];
      }
    }
    free.delete(best);
    largest = Math.max(largest, least);
    values += row.length;
  }
  return { values, largest };
}

function numbers(
  values: HostTensor['values'],
): ArrayLike<number> & { slice(a: number, b: number): Iterable<number> } {
  return values as Float32Array;
}

/** Largest difference, relative where values are above 1; infinite where one is NaN and the other is not. */
function differenceOf(expected: ArrayLike<number>, actual: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [Number(expected[i]), Number(actual[i])];
    if (Object.is(a, b)) continue;
    const difference = Math.abs(a - b) / Math.max(1, Math.abs(a));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}

/**
 * The same in a process of its own, so that nothing which is in this one's memory can help.
 * @throws UserError with what that process says
 */
export function checkInNewProcess(folder: string): Promise<CheckReport> {
  const program = join(packageRoot(), 'bin', 'tfgeo-train.mjs');
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, 'check', folder, '--json'], (error, stdout, stderr) => {
      if (!error) return resolve(JSON.parse(stdout) as CheckReport);
      const lines = stderr.trim().split('\n');
      const reason = lines.find((line) => line.startsWith('tfgeo-train: '))?.slice('tfgeo-train: '.length);
      reject(
        new UserError(`the check of the export failed: ${reason ?? error.message}`, EXIT_CODES.internal),
      );
    });
  });
}
