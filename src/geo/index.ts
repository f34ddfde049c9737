// SPDX-License-Identifier: Apache-2.0

export { areaXyxy, intersectionXyxy, iosXyxy, iouXyxy, nmsXyxy } from '../models/nms.js';
export type { BoxXyxy, Detection, RgbImage, Span } from '../models/types.js';
export type { Window } from './band_source.js';
export { type Crs, crsFromEpsg, crsFromText } from './crs.js';
export { type DetectBatch, type DetectTiledOptions, detectTiled } from './detect_tiled.js';
export { type DetectionLists, type DetectionSet, toDetections } from './detections.js';
export {
  type DetectionCollection,
  type DetectionFeature,
  requireGeoreference,
  toGeoJson,
} from './geojson.js';
export { type Affine, Georeference } from './georeference.js';
export { openRaster, Raster, type RasterOptions, type ReadOptions } from './raster.js';
export { resampleRgb } from './resample.js';
export { SeamMerger, type SeamOptions } from './seams.js';
export type { StretchChoice, StretchRange } from './stretch.js';
export { planTiles, type Tile, type TilePlan } from './tiles.js';
export {
  assertWritable,
  type DetectionWriter,
  toCoco,
  WRITERS,
  writeDetections,
  writerFor,
} from './writers.js';
