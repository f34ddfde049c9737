// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { hasNativeOps } from '../../src/engine/index.js';
import { ratio, within } from './compare.js';
import { CaseContext } from './context.js';
import { type Kind, kindOf, runnerFor } from './kinds.js';
import type { CaseResult, Comparison, ParityArea, ParityCase } from './types.js';

export interface RunOptions {
  /** Only cases of these kinds (`kind` or `area/kind`); absent = all, and unknown kinds fail. */
  kinds?: readonly string[];
  /** Only these variants, where a kind has several; absent = all that the engine has. */
  paths?: readonly string[];
  /** Compiles what the library does; cases without anything to compile are left out. */
  compiled?: boolean;
  /** Called after each case. */
  onResult?: (result: CaseResult) => void;
}

/** Runs every case of the areas, one after the other, on the engine that is set. */
export async function runAreas(
  areas: readonly ParityArea[],
  options: RunOptions = {},
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const area of areas) {
    for (const entry of area.cases) {
      const kind = kindOf(entry);
      if (options.kinds && !kindNames(area, entry).some((name) => options.kinds!.includes(name))) continue;
      const compiled = options.compiled ?? false;
      for (const path of pathsOf(area, kind, options.paths)) {
        if (compiled && !canCompile(runnerFor(area, kind), path)) continue;
        const result = await runCase(area, entry, kind, path, compiled);
        results.push(result);
        options.onResult?.(result);
      }
    }
  }
  return results;
}

/** How a kind may be asked for: by itself, and with its area. */
export function kindNames(area: ParityArea, entry: ParityCase): [kind: string, withArea: string] {
  const kind = kindOf(entry);
  return [kind, `${area.name}/${kind}`];
}

function pathsOf(area: ParityArea, kind: string, wanted: readonly string[] | undefined): readonly string[] {
  const paths = runnerFor(area, kind)?.paths;
  if (!paths) return [''];
  if (wanted) return paths.filter((path) => wanted.includes(path));
  return hasNativeOps() ? paths : paths.filter((path) => path !== 'native');
}

/** A kind that is not known is run all the same, and fails. */
function canCompile(kind: Kind | null, path: string): boolean {
  if (kind === null || kind.compiles === true) return true;
  return kind.compiles?.includes(path) ?? false;
}

async function runCase(
  area: ParityArea,
  entry: ParityCase,
  kind: string,
  path: string,
  compiled: boolean,
): Promise<CaseResult> {
  const start = performance.now();
  const result: CaseResult = {
    area: area.name,
    name: entry.name,
    kind,
    path: compiled ? `${path}${path ? ', ' : ''}compiled` : path,
    passed: false,
    worst: null,
    compared: 0,
    reason: '',
    seconds: 0,
  };
  const runner = runnerFor(area, kind);
  if (!runner) {
    result.reason = `unknown kind of case "${kind}"`;
    return result;
  }
  let context: CaseContext | null = null;
  tf.engine().startScope();
  try {
    context = new CaseContext(area, entry, path, compiled);
    await runner.run(context);
    judge(result, context);
  } catch (error) {
    result.reason = firstLine(error);
  } finally {
    context?.dispose();
    tf.engine().endScope();
  }
  result.seconds = (performance.now() - start) / 1000;
  return result;
}

/** A case passes if something was compared, everything was, and all of it is within tolerance. */
function judge(result: CaseResult, context: CaseContext): void {
  const { comparisons } = context;
  result.compared = comparisons.length;
  result.worst = comparisons.reduce<Comparison | null>(
    (worst, next) => (worst === null || ratio(next) > ratio(worst) ? next : worst),
    null,
  );
  const wrong = comparisons.filter((comparison) => !within(comparison));
  const forgotten = context.forgotten();
  if (wrong.length > 0) {
    const note = result.worst?.note ? `: ${result.worst.note}` : '';
    result.reason = `${wrong.length} of ${comparisons.length} out of tolerance${note}`;
  } else if (forgotten.length > 0) {
    result.reason = `not compared: ${forgotten.slice(0, 4).join(', ')}${forgotten.length > 4 ? ', ...' : ''}`;
  } else if (comparisons.length === 0) {
    result.reason = 'nothing was compared';
  }
  result.passed = result.reason === '';
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!;
}
