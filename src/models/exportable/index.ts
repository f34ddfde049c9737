// SPDX-License-Identifier: Apache-2.0
import type { LoadedModel } from '../model_folder.js';
import { classExportable } from './classes.js';
import { textExportable } from './text.js';
import type { Exportable, ExportQuery } from './types.js';

export { keepMask, normalisePixels, selectByClass, selectByText } from './detections.js';
export type { Exportable, ExportQuery, ExportSource, ExtraInput, PictureBatch } from './types.js';

/** A loaded detector as it is exported. @throws UserError for a query that it cannot take */
export function toExportable(loaded: LoadedModel, query: ExportQuery): Exportable {
  return loaded.answers === 'text' ? textExportable(loaded, query) : classExportable(loaded, query);
}
