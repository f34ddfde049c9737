// SPDX-License-Identifier: Apache-2.0
import { ratio } from './compare.js';
import type { CaseResult } from './types.js';

/** One line: verdict, area, case, the worst tensor with its error, tolerance and their ratio, and why it failed. */
export function caseLine(result: CaseResult): string {
  const { area, name, path, worst, passed, reason } = result;
  const verdict = passed ? 'ok  ' : 'FAIL';
  const title = `${area}/${name}${path ? ` [${path}]` : ''}`;
  const figures = worst
    ? `${worst.tensor}  error ${figure(worst.error)}  tol ${figure(worst.tol)}  ratio ${figure(ratio(worst))}`
    : 'nothing compared';
  return `${verdict}  ${title.padEnd(46)}  ${figures}${passed ? '' : `  (${reason})`}`;
}

/** The last line: how many of how many, and on what. */
export function totalLine(results: readonly CaseResult[], engine: string): string {
  const passed = results.filter((result) => result.passed).length;
  const worst = Math.max(0, ...results.map(worstRatio));
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  const failed = results.length - passed;
  return (
    `${passed} of ${results.length} cases within tolerance${failed > 0 ? `, ${failed} FAILED` : ''}; ` +
    `worst ratio ${figure(worst)}; engine ${engine}; ${seconds.toFixed(1)} s`
  );
}

function worstRatio({ worst }: CaseResult): number {
  return worst ? ratio(worst) : 0;
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : String(value);
  if (value === 0) return '0';
  return value >= 0.01 && value < 1000 ? value.toPrecision(2) : value.toExponential(1);
}

/** The part of `docs/parity.md` that is measured: a row for each area, kind and path, and what failed. */
export function parityTable(
  eager: readonly CaseResult[],
  compiled: readonly CaseResult[],
  engine: string,
): string {
  const all = [...eager, ...compiled];
  const failed = all.filter(({ passed }) => !passed);
  const keys = [...new Set(all.map(keyOf))];
  return [
    `Engine ${engine}. Operation by operation: ${verdict(eager)}. Compiled: ${verdict(compiled)}.`,
    '',
    '| area | kind | cases | within tolerance | worst ratio | compiled cases | within tolerance | worst ratio |',
    '|---|---|--:|--:|--:|--:|--:|--:|',
    ...keys.map((key) => groupRow(key, eager, compiled)),
    ...failed.map(({ area, name, path, reason }, i) => {
      const line = `- **failed**: ${area}/${name}${path ? ` (${path})` : ''}: ${reason}`;
      return i === 0 ? `\n${line}` : line;
    }),
  ].join('\n');
}

function verdict(results: readonly CaseResult[]): string {
  const passed = results.filter((result) => result.passed).length;
  const worst = Math.max(0, ...results.map(worstRatio));
  return `${passed} of ${results.length} cases within tolerance, worst ratio ${figure(worst)}`;
}

/** Area, kind and path, compiled or not. */
function keyOf({ area, kind, path }: CaseResult): string {
  const variant = path.replace(/(, )?compiled$/, '');
  return `${area} | ${kind}${variant ? `, ${variant}` : ''}`;
}

function groupRow(key: string, ...runs: (readonly CaseResult[])[]): string {
  const cells = runs.flatMap((run) => {
    const group = run.filter((result) => keyOf(result) === key);
    if (group.length === 0) return ['-', '-', '-'];
    const passed = group.filter((result) => result.passed).length;
    return [group.length, passed, figure(Math.max(...group.map(worstRatio)))];
  });
  return `| ${[key, ...cells].join(' | ')} |`;
}
