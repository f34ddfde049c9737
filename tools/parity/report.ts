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

/** The document `docs/parity.md`: one table by area and kind, one by case. */
export function markdown(results: readonly CaseResult[], engine: string): string {
  const lines = [
    '# Parity with the reference implementations',
    '',
    'Written by `npm run parity -- DIR --markdown docs/parity.md`; do not edit. Each case feeds stored inputs and weights',
    'to the library and compares what comes out (values inside, results, gradients) with what the public implementations',
    'gave in float64. *Ratio* is the largest error in units of the tolerance that the vectors come with (ten times what',
    'the reference itself loses in float32); up to 1 passes. Where values must be equal, the ratio is 0.',
    '',
    `Engine: ${engine}.`,
    '',
    '| area | kind | cases | within tolerance | values compared | worst ratio | at |',
    '|---|---|---|---|---|---|---|',
    ...groups(results).map(groupRow),
    '',
    '| case | worst value | error | tolerance | ratio | verdict |',
    '|---|---|---|---|---|---|',
    ...results.map(caseRow),
    '',
  ];
  return lines.join('\n');
}

function groups(results: readonly CaseResult[]): CaseResult[][] {
  const byKey = new Map<string, CaseResult[]>();
  for (const result of results) {
    const key = `${result.area} ${result.kind} ${result.path}`;
    byKey.set(key, [...(byKey.get(key) ?? []), result]);
  }
  return [...byKey.values()];
}

function groupRow(group: CaseResult[]): string {
  const { area, kind, path } = group[0]!;
  const worst = group.reduce((a, b) => (worstRatio(b) > worstRatio(a) ? b : a));
  const passed = group.filter((result) => result.passed).length;
  const compared = group.reduce((sum, result) => sum + result.compared, 0);
  const at = worst.worst && worstRatio(worst) > 0 ? `${worst.name}: \`${worst.worst.tensor}\`` : '';
  return `| ${area} | ${kind}${path ? `, ${path}` : ''} | ${group.length} | ${passed} | ${compared} | ${figure(worstRatio(worst))} | ${at} |`;
}

function caseRow({ area, name, path, worst, passed, reason }: CaseResult): string {
  const title = `${area}/${name}${path ? ` (${path})` : ''}`;
  const figures = worst
    ? [`\`${worst.tensor}\``, figure(worst.error), figure(worst.tol), figure(ratio(worst))]
    : ['', '', '', ''];
  return `| ${title} | ${figures.join(' | ')} | ${passed ? 'ok' : `**failed**: ${reason}`} |`;
}
