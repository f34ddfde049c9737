// SPDX-License-Identifier: Apache-2.0
/**
 * Puts a trained model into `models/PRESET` as the package ships it: half precision, with its tokenizer and card.
 *
 *   npx tsx tools/ship_model.ts runs/mdetr-g-tiny/model
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ready } from '../src/engine/index.js';
import { EXIT_CODES, UserError } from '../src/errors.js';
import { BUNDLED_MODEL } from '../src/models/bundled.js';
import { loadModelFolder } from '../src/models/model_folder.js';
import { saveModelFolder } from '../src/train/checkpoint.js';

/** What the package may carry. */
const MAX_BYTES = 10e6;

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new UserError('Usage: ship_model.ts MODEL_FOLDER');
await ready();
const loaded = await loadModelFolder(folder);
if (loaded.answers !== 'text') throw new UserError(`${folder} holds a detector of classes`);
const { model, config, tokenizerJson } = loaded;
const place = join(dirname(BUNDLED_MODEL), config.preset);
const card = join(place, 'README.md');
saveModelFolder(
  place,
  model,
  {
    'config.json': `${JSON.stringify(config, null, 2)}\n`,
    'tokenizer.json': tokenizerJson,
    ...(existsSync(card) ? { 'README.md': readFileSync(card, 'utf8') } : {}),
  },
  { dtype: 'F16' },
);
const { size } = statSync(join(place, 'model.safetensors'));
console.log(`${place}: ${model.parameterCount()} parameters, ${(size / 1e6).toFixed(2)} MB`);
if (size > MAX_BYTES) throw new UserError(`the weights are larger than ${MAX_BYTES} bytes`, EXIT_CODES.usage);
