// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { EXIT_CODES, UserError } from '../../errors.js';
import { errorCode } from '../../files.js';

/**
 * The text of an annotation file.
 *
 * @throws UserError when it is missing, unreadable or empty
 */
export async function readAnnotationFile(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    const reason =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? 'no such file; check the path'
        : code === 'EISDIR'
          ? 'is a folder; give an annotation file'
          : `cannot be read (${code ?? String(error)}); check its mode and owner`;
    throw new UserError(`${path}: ${reason}`, EXIT_CODES.data, { cause: error });
  }
  if (text.trim() === '') {
    throw new UserError(`${path}: the file is empty; write or download it again`, EXIT_CODES.data);
  }
  return text.replace(/^\uFEFF/, '');
}

/**
 * A parsed JSON file.
 *
 * @throws UserError with line and column when it is not JSON
 */
export async function readJsonFile(path: string): Promise<unknown> {
  const text = await readAnnotationFile(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    const position = /position (\d+)/.exec(message);
    const before = position === null ? null : text.slice(0, Number(position[1]));
    const place =
      before === null
        ? ''
        : `, line ${before.split('\n').length} column ${before.length - before.lastIndexOf('\n')}`;
    throw new UserError(
      `${path}${place}: not JSON (${message}); the file is damaged or cut short`,
      EXIT_CODES.data,
      {
        cause: error,
      },
    );
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
