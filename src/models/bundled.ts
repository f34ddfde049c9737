// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { packageRoot } from '../package.js';

/** The small trained model that comes with the package. */
export const BUNDLED_MODEL = join(packageRoot(), 'models', 'mdetr-g-tiny');

/** Its tokenizer, which new models start with. */
export const BUNDLED_TOKENIZER = join(BUNDLED_MODEL, 'tokenizer.json');
