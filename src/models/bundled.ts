// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';

/** From `src/models/` in a checkout, from `dist/src/models/` in the package. */
const ROOT = import.meta.url.includes('/dist/src/models/') ? '../../../' : '../../';

/** The small trained model that comes with the package. */
export const BUNDLED_MODEL = fileURLToPath(new URL(`${ROOT}models/mdetr-g-tiny`, import.meta.url));

/** Its tokenizer, which new models start with. */
export const BUNDLED_TOKENIZER = `${BUNDLED_MODEL}/tokenizer.json`;
