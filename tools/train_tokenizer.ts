// SPDX-License-Identifier: Apache-2.0
/**
 * Trains a byte-level BPE `tokenizer.json` from lines of text.
 *
 *   npx tsx tools/train_tokenizer.ts corpus.txt --out tokenizer.json [--vocab 1200] [--min-frequency 2] [--cased]
 *   ... | npx tsx tools/train_tokenizer.ts - --out tokenizer.json
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { writeFileAtomic } from '../src/files.js';
import { Tokenizer, trainBpe } from '../src/models/text/index.js';

const USAGE =
  'Usage: train_tokenizer.ts <corpus.txt | -> --out tokenizer.json [--vocab N] [--min-frequency N] [--cased] [--no-prefix-space]';

function count(text: string | undefined, otherwise: number, flag: string): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new UserError(`--${flag} is '${text}', expected a whole number above 0.`);
  }
  return value;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      vocab: { type: 'string' },
      'min-frequency': { type: 'string' },
      cased: { type: 'boolean', default: false },
      'no-prefix-space': { type: 'boolean', default: false },
    },
  });
  const [corpus] = positionals;
  if (corpus === undefined || values.out === undefined) throw new UserError(USAGE);
  let text: string;
  try {
    text = readFileSync(corpus === '-' ? 0 : corpus, 'utf8');
  } catch (error) {
    throw new UserError(`Cannot read ${corpus}: ${(error as Error).message}`, EXIT_CODES.data);
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new UserError(`${corpus} holds no text to learn from.`, EXIT_CODES.data);
  const json = trainBpe(lines, {
    vocabSize: count(values.vocab, 1200, 'vocab'),
    minFrequency: count(values['min-frequency'], 2, 'min-frequency'),
    lowercase: !values.cased,
    addPrefixSpace: !values['no-prefix-space'],
  });
  const tokenizer = Tokenizer.fromJson(json);
  await writeFileAtomic(values.out, `${JSON.stringify(json)}\n`);
  const total = lines.reduce((sum, line) => sum + tokenizer.encode(line).ids.length, 0);
  console.log(
    `${values.out}: ${tokenizer.vocabularySize} tokens from ${lines.length} lines, ${(total / lines.length).toFixed(1)} tokens a line`,
  );
}

main().catch((error: unknown) => {
  // parseArgs and trainBpe refuse arguments with these two.
  const isUsers = error instanceof UserError || error instanceof TypeError || error instanceof RangeError;
  console.error(isUsers ? error.message : error);
  process.exitCode =
    error instanceof UserError ? error.exitCode : isUsers ? EXIT_CODES.usage : EXIT_CODES.internal;
});
