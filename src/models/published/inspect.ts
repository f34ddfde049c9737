// SPDX-License-Identifier: Apache-2.0
import type { StoredTensor, TensorDtype } from '../weights/safetensors.js';
import { compareStateDict, type LoadReport } from '../weights/state_dict.js';
import type { TorchReadOptions } from '../weights/torch/read.js';
import { PUBLISHED_KINDS, readPublished, recognise } from './kinds.js';
import type { Recognised } from './types.js';

/** What becomes of a tensor when the weights are loaded; `unclear` if it is not known what they are of. */
export type Fate = 'matched' | 'of another shape' | 'unknown' | 'dropped' | 'unclear';

export interface TensorReport {
  /** In the file. */
  name: string;
  dtype: TensorDtype;
  shape: number[];
  fate: Fate;
  /** Parameters that it goes to. */
  parameters: string[];
  /** Why it is dropped, or which shape is expected. */
  why: string | null;
}

export interface CheckpointReport {
  source: string;
  format: string;
  files: string[];
  /** Where the tensors stand in the file. */
  key: string;
  tensors: TensorReport[];
  /** What the file holds beside them. */
  others: Record<string, string>;
  model: { title: string; origin: string } | null;
  /** Names that the file lacks. */
  missing: string[];
  /** Of those, names that such files may lack. */
  optional: string[];
  /** Whether the weights can be loaded; null if it is not known what they are of. */
  fits: boolean | null;
}

/**
 * What is in a file or folder of weights, what it is of, and what loading would do with each tensor.
 * @throws UserError if it cannot be read
 */
export async function inspectCheckpoint(
  path: string,
  options: TorchReadOptions = {},
): Promise<CheckpointReport> {
  const published = await readPublished(path, options);
  const { file, source } = published;
  const found = recognise(published);
  const common = {
    source,
    format: file.format,
    files: file.files,
    key: file.key,
    others: Object.fromEntries([...file.others, ...file.skipped]),
  };
  if (!found) {
    const tensors = [...file.tensors].map(([name, tensor]) => describe(name, tensor, 'unclear'));
    return { ...common, tensors, model: null, missing: [], optional: [], fits: null };
  }
  const module = found.build();
  try {
    const { report } = compareStateDict(module, file.tensors, found);
    return { ...common, ...judge(report, found, file.tensors) };
  } finally {
    module.dispose();
  }
}

function describe(
  name: string,
  { dtype, shape }: StoredTensor,
  fate: Fate,
  parameters: string[] = [],
  why: string | null = null,
): TensorReport {
  return { name, dtype, shape, fate, parameters, why };
}

function judge(
  report: LoadReport,
  { title, names, mayLack }: Recognised,
  tensors: ReadonlyMap<string, StoredTensor>,
): Pick<CheckpointReport, 'tensors' | 'model' | 'missing' | 'optional' | 'fits'> {
  const users = new Map<string, string[]>();
  for (const [own, inFile] of report.origins) users.set(inFile, [...(users.get(inFile) ?? []), own]);
  const wrong = new Map(report.mismatched.map(({ nameInFile, expected }) => [nameInFile, expected]));
  const dropped = new Map(report.ignored.map(({ name, why }) => [name, why]));
  const rows = [...tensors].map(([name, tensor]) => {
    const parameters = users.get(name) ?? [];
    const expected = wrong.get(name);
    if (expected)
      return describe(name, tensor, 'of another shape', parameters, `the model has [${expected}]`);
    if (parameters.length > 0) return describe(name, tensor, 'matched', parameters);
    const why = dropped.get(name);
    return why === undefined ? describe(name, tensor, 'unknown') : describe(name, tensor, 'dropped', [], why);
  });
  const inFile = (own: readonly string[]) => [...new Set(own.map((name) => names.place(name).name))];
  const lacking = report.missing.filter((name) => !mayLack?.(name));
  return {
    tensors: rows,
    model: { title, origin: names.origin },
    missing: inFile(report.missing),
    optional: inFile(report.missing.filter((name) => !lacking.includes(name))),
    fits: lacking.length === 0 && report.mismatched.length === 0 && report.unexpected.length === 0,
  };
}

/** The fates in the order of the report. */
const FATES: readonly Fate[] = ['matched', 'of another shape', 'unknown', 'dropped', 'unclear'];

/** The report as text, tensor by tensor. */
export function formatCheckpointReport(report: CheckpointReport): string {
  const { tensors, missing, optional, others, model } = report;
  const values = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  const count = (fate: Fate) => tensors.filter((tensor) => tensor.fate === fate).length;
  const lines = [
    `${report.source}: ${report.format}, ${tensors.length} tensors, ${(values / 1e6).toFixed(1)} million values${report.key ? `, at ${report.key}` : ''}`,
    ...Object.entries(others).map(([name, what]) => `  beside them ${name}: ${what}`),
    model
      ? `${model.title} (names: ${model.origin})`
      : `of no kind that is known: ${PUBLISHED_KINDS.map(({ about }) => about).join('; ')}`,
    ...FATES.filter((fate) => count(fate) > 0).map((fate) => `  ${fate}: ${count(fate)}`),
    ...(model ? [`  missing: ${missing.length - optional.length}`] : []),
    ...missing.map(
      (name) => `    ${name}${optional.includes(name) ? ' (such files lack it: its first values stay)' : ''}`,
    ),
    '',
    ...table(tensors),
  ];
  return lines.join('\n');
}

function table(tensors: readonly TensorReport[]): string[] {
  const rows = tensors.map(({ name, dtype, shape, fate, parameters, why }) => {
    const to = fate === 'matched' && parameters.join() !== name ? `-> ${parameters.join(', ')}` : '';
    const note = fate === 'matched' || fate === 'unclear' ? to : `${fate}${why === null ? '' : `: ${why}`}`;
    return [name, `${dtype} [${shape.join(', ')}]`, note];
  });
  const width = (column: number) => Math.max(0, ...rows.map((row) => row[column]!.length));
  const [first, second] = [width(0), width(1)];
  return rows.map(([name, shape, note]) =>
    `${name!.padEnd(first)}  ${shape!.padEnd(second)}  ${note}`.trimEnd(),
  );
}
