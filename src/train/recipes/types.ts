// SPDX-License-Identifier: Apache-2.0
import type { RunConfig } from '../config/schema.js';

/** A named configuration: what `--recipe NAME` starts from. The file says command, time and expected result on top. */
export interface Recipe {
  /** One sentence for `--help` and the documentation. */
  about: string;
  /** What differs from the defaults. */
  config: Partial<RunConfig>;
}
