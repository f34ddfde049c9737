// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';
import { type FileToWrite, writeFilesAtomicSync } from '../../files.js';
import { ARGUMENTS_ENTRY, WEIGHTS_FILE } from '../weights/checkpoint_file.js';
import type { NameMap } from '../weights/name_map.js';
import { SAME_NAMES } from '../weights/name_map.js';
import { weightFiles } from '../weights/parts.js';
import { encodeSafetensors, type StoredTensor, type WriteOptions } from '../weights/safetensors.js';
import { type LoadReport, loadStateDict, saveStateDict } from '../weights/state_dict.js';
import type { TorchReadOptions } from '../weights/torch/read.js';
import { encodeTorch, plainValue, type TorchValue } from '../weights/torch/write.js';
import { PUBLISHED_KINDS, readPublished, recognise } from './kinds.js';
import type { Published, Recognised } from './types.js';

export interface ConvertOptions extends TorchReadOptions {
  /** Whose names the result has: `tfgeo`, or an origin of the model's (`original`, `Hugging Face`); see {@link convertCheckpoint}. */
  names?: string;
  /** How float32 tensors of a safetensors file are stored (default F32). */
  dtype?: NonNullable<WriteOptions['dtype']>;
  /** Most bytes of weights in one file of a folder (default 5e9); larger models are written in parts. */
  partBytes?: number;
}

export interface ConvertReport {
  /** What the weights are of. */
  title: string;
  /** Whose names they had and have. */
  from: string;
  to: string;
  report: LoadReport;
  /** Files that were written. */
  files: string[];
}

const PART_BYTES = 5e9;

/** Files beside weights that belong to the model. */
const BESIDE = ['tokenizer.json'];

/** Where files of an origin that are state dicts of a program have the weights. In them what is shared has every name. */
const STATE_DICTS: Readonly<Record<string, string>> = { original: 'model', mmdetection: 'state_dict' };

const TORCH = ['.pth', '.pt', '.bin'];

/** What is written. */
type OutputKind = 'folder' | 'safetensors' | 'torch';

/**
 * Reads weights, gives them to the model that they are of, and writes the model's: to a folder (`config.json` and
 * `model.safetensors`; the default names are tfgeo's, with Hugging Face's the folder is one of theirs), to a
 * `.safetensors` file, or to a PyTorch file (`.pth`); of files the default names are those of the input.
 * @param output a folder that may exist, or a file
 * @throws UserError (exit code `checkpoint`) if the weights are of no kind that is known, or do not fit
 */
export async function convertCheckpoint(
  input: string,
  output: string,
  options: ConvertOptions = {},
): Promise<ConvertReport> {
  const kind = outputKind(input, output, options);
  const published = await readPublished(input, options);
  const found = recognise(published);
  if (!found) {
    const kinds = PUBLISHED_KINDS.map(({ about }) => about).join('; ');
    return fail(`${input} is of no kind that is known: ${kinds}`);
  }
  const wanted = options.names ?? (kind === 'folder' ? SAME_NAMES.origin : found.names.origin);
  const names = chosenNames(found, wanted);
  const { report, tensors } = throughModel(published, found, names);
  const model = { tensors, names, found, published };
  const files =
    kind === 'folder'
      ? folderOf(model, input, output, options)
      : [{ path: output, chunks: kind === 'torch' ? torchOf(model) : safetensorsOf(model, options) }];
  writeFilesAtomicSync(files);
  return {
    title: found.title,
    from: found.names.origin,
    to: names.origin,
    report,
    files: files.map(({ path }) => path),
  };
}

function fail(message: string): never {
  throw new UserError(message, EXIT_CODES.checkpoint);
}

function outputKind(input: string, output: string, { dtype }: ConvertOptions): OutputKind {
  const extension = extname(output);
  const file = extension === '.safetensors' ? extension.slice(1) : TORCH.includes(extension) ? 'torch' : null;
  const kind = (file ?? 'folder') as OutputKind;
  if (kind === 'torch' && (dtype ?? 'F32') !== 'F32') {
    fail('PyTorch files are written as F32; leave out the type');
  }
  if (!existsSync(output)) return kind;
  if (resolve(input) === resolve(output)) {
    fail(`${output} is what is to be converted; give another place`);
  }
  if (statSync(output).isDirectory() !== (kind === 'folder')) {
    const [is, expected] = kind === 'folder' ? ['file', 'folder'] : ['folder', 'file'];
    fail(`${output} is a ${is}, not a ${expected}; give another place`);
  }
  return kind;
}

/** The values as the model has them, under other names. */
function throughModel(
  { file, source }: Published,
  { names: given, mayLack, counters, build }: Recognised,
  names: NameMap,
): { report: LoadReport; tensors: Map<string, StoredTensor> } {
  const module = build();
  try {
    const report = loadStateDict(module, file.tensors, {
      names: given,
      source,
      ...(mayLack ? { mayLack } : {}),
    });
    // Checkpoints of PyTorch programs have every name of what is shared.
    const everyName = names.origin in STATE_DICTS;
    const tensors = saveStateDict(module, { names, everyName });
    if (counters && names !== SAME_NAMES) addCounters(tensors);
    return { report, tensors };
  } finally {
    module.dispose();
  }
}

/** A counter at 0 for each batch norm. */
function addCounters(tensors: Map<string, StoredTensor>): void {
  for (const name of [...tensors.keys()].filter((each) => each.endsWith('.running_mean'))) {
    const counter = name.replace(/running_mean$/, 'num_batches_tracked');
    tensors.set(counter, { dtype: 'I64', shape: [], data: new BigInt64Array(1) });
  }
}

/** What is written, and where it comes from. */
interface Converted {
  tensors: Map<string, StoredTensor>;
  names: NameMap;
  found: Recognised;
  published: Published;
}

function safetensorsOf(
  { tensors, names, found, published }: Converted,
  options: ConvertOptions,
): Uint8Array[] {
  return encodeSafetensors(tensors, writeOptionsOf({ names, found, published }, options));
}

function writeOptionsOf(
  { names, found, published }: Omit<Converted, 'tensors'>,
  { dtype = 'F32' }: ConvertOptions,
): WriteOptions {
  const metadata: Record<string, string> = { format: 'pt' };
  if (names.origin in STATE_DICTS) {
    metadata[ARGUMENTS_ENTRY] = JSON.stringify(argumentsOf(published, found));
  }
  return { metadata, dtype };
}

function torchOf({ tensors, names, found, published }: Converted): Uint8Array[] {
  const key = STATE_DICTS[names.origin] ?? 'model';
  return encodeTorch({ [key]: tensors, args: argumentsOf(published, found) });
}

/** `config.json`, the weights, and what else lies beside them and belongs to them. */
function folderOf(model: Converted, input: string, output: string, options: ConvertOptions): FileToWrite[] {
  const { found, names } = model;
  const theirs = names.origin === 'Hugging Face' ? found.huggingFaceConfig : undefined;
  const folder = statSync(input).isDirectory() ? input : dirname(input);
  const kept = BESIDE.filter((name) => existsSync(join(folder, name)));
  const { partBytes = PART_BYTES } = options;
  const weights = weightFiles(output, model.tensors, partBytes, writeOptionsOf(model, options));
  refuseOlder(output, weights);
  return [
    ...weights,
    {
      path: join(output, 'config.json'),
      chunks: `${JSON.stringify(theirs?.() ?? found.config, null, 2)}\n`,
    },
    ...kept.map((name) => ({ path: join(output, name), chunks: readFileSync(join(folder, name)) })),
  ];
}

/** Refuses to write parts beside a whole file, which would be read instead. */
function refuseOlder(output: string, weights: readonly FileToWrite[]): void {
  const whole = join(output, WEIGHTS_FILE);
  if (weights.some(({ path }) => path === whole) || !existsSync(whole)) return;
  fail(`${whole} is there already and would be read instead of parts; give another place`);
}

/** The map of an origin. `tfgeo` and the model's own names are one. */
function chosenNames({ origins }: Recognised, wanted: string): NameMap {
  const known = [SAME_NAMES, ...origins];
  const same = (a: string, b: string) =>
    a.toLowerCase().replaceAll(/[^a-z]/g, '') === b.toLowerCase().replaceAll(/[^a-z]/g, '');
  const map = known.find(({ origin }) => same(origin, wanted));
  if (map) return map;
  const all = [...new Set(known.map(({ origin }) => origin))];
  const near = didYouMean(wanted, all);
  throw new UserError(
    `there are no names of "${wanted}" for this model${near ? ` (did you mean ${near}?)` : ''}; there are ${all.join(', ')}`,
  );
}

/** Arguments of the program that the file came from, completed by what the model says. */
function argumentsOf({ file }: Published, { originalArguments }: Recognised): Record<string, TorchValue> {
  const kept = Object.entries(file.args ?? {}).flatMap(([name, value]) => {
    const plain = plainValue(value);
    return plain === undefined ? [] : [[name, plain] as const];
  });
  return { ...Object.fromEntries(kept), ...originalArguments?.() };
}
