// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../errors.js';
import type { Detection } from '../models/types.js';
import type { DetectionSet } from './detections.js';
import { type Georeference, wrapDegrees } from './georeference.js';

/** Longitude and latitude in degrees, WGS 84, as RFC 7946 demands. */
export type Position = readonly [lon: number, lat: number];
type Ring = Position[];

export interface PolygonGeometry {
  type: 'Polygon';
  coordinates: Ring[];
}

export interface MultiPolygonGeometry {
  type: 'MultiPolygon';
  coordinates: Ring[][];
}

export interface DetectionFeature {
  type: 'Feature';
  id: number;
  bbox: BoundingBox;
  geometry: PolygonGeometry | MultiPolygonGeometry;
  properties: Record<string, unknown>;
}

/** `[west, south, east, north]`; west > east when it crosses the antimeridian (RFC 7946, 5.2). */
export type BoundingBox = [west: number, south: number, east: number, north: number];

export interface DetectionCollection {
  type: 'FeatureCollection';
  bbox?: BoundingBox;
  features: DetectionFeature[];
}

/** 1e-8 degrees are about a millimetre: finer than any picture. */
const DECIMALS = 1e8;
/** Pixels are given to a hundredth. */
const PIXEL_DECIMALS = 100;

/**
 * Detections as an RFC 7946 FeatureCollection: longitude and latitude, closed counter-clockwise rings, bounding boxes,
 * shapes that cross the antimeridian cut in two. Properties: `score`, `phrase`, `spans`, `prompt`, `source`, `category`
 * and `model` where known, and `box` (`[x0, y0, x1, y1]` in pixels).
 *
 * @throws UserError when the picture has no georeference, saying why and what to do
 */
export function toGeoJson(set: DetectionSet): DetectionCollection {
  const georeference = requireGeoreference(set);
  const features = set.detections.map((detection, i) => toFeature(detection, i, set, georeference));
  const bbox = joinBoundingBoxes(features.map((feature) => feature.bbox));
  return { type: 'FeatureCollection', ...(bbox === null ? {} : { bbox }), features };
}

/**
 * The georeference of a picture.
 *
 * @throws UserError when it has none, saying why and what to do
 */
export function requireGeoreference(
  set: Pick<DetectionSet, 'source' | 'georeference' | 'georeferenceMissing'>,
): Georeference {
  if (set.georeference !== null) return set.georeference;
  const reason = set.georeferenceMissing ? `: ${set.georeferenceMissing}` : '';
  throw new UserError(
    `${set.source}: no georeference, so boxes have no longitude and latitude${reason}; ` +
      'or write pixel boxes to a .json or .csv file',
    EXIT_CODES.data,
  );
}

function toFeature(
  detection: Detection,
  index: number,
  set: DetectionSet,
  georeference: Georeference,
): DetectionFeature {
  const ring = boxRing(detection, set, georeference);
  const properties: Record<string, unknown> = {
    score: Math.round(detection.score * 1e4) / 1e4,
    phrase: detection.phrase,
    spans: detection.spans,
    ...(detection.category === undefined ? {} : { category: detection.category }),
    prompt: set.prompt,
    source: set.source,
    box: detection.box.map((v) => Math.round(v * PIXEL_DECIMALS) / PIXEL_DECIMALS),
    ...(set.model === undefined ? {} : { model: set.model }),
  };
  return { type: 'Feature', id: index + 1, ...shape(ring), properties };
}

/** Corners of a box, unwrapped (longitudes may pass 180 so that neighbours stay near), counter-clockwise, not closed. */
function boxRing({ box }: Detection, set: DetectionSet, georeference: Georeference): Position[] {
  const [x0, y0, x1, y1] = box;
  const corners = [
    [x0, y0],
    [x0, y1],
    [x1, y1],
    [x1, y0],
  ] as const;
  let first: number | null = null;
  const ring = corners.map(([x, y]): Position => {
    const [lon, lat] = georeference.toLonLat(x, y);
    if (!(Number.isFinite(lon) && Math.abs(lat) <= 90)) {
      throw new UserError(
        `${set.source}: pixel (${x}, ${y}) lies outside the domain of ${georeference.crs.name}; ` +
          'check the reference system of the picture',
        EXIT_CODES.data,
      );
    }
    first ??= wrapDegrees(lon);
    return [first + wrapDegrees(lon - first), lat];
  });
  return signedArea(ring) < 0 ? ring.reverse() : ring;
}

/** Twice the signed area; positive = counter-clockwise in a map with north up. */
function signedArea(ring: readonly Position[]): number {
  return ring.reduce((sum, [x, y], i) => {
    const [nextX, nextY] = ring[(i + 1) % ring.length]!;
    return sum + (x * nextY - nextX * y);
  }, 0);
}

/** Geometry and bounding box of a ring, cut at the antimeridian where it crosses (RFC 7946, 3.1.9). */
function shape(ring: readonly Position[]): Pick<DetectionFeature, 'geometry' | 'bbox'> {
  const lons = ring.map(([lon]) => lon);
  const lats = ring.map(([, lat]) => lat);
  const [west, east] = [Math.min(...lons), Math.max(...lons)];
  const [south, north] = [round(Math.min(...lats)), round(Math.max(...lats))];
  const seam = east > 180 ? 180 : west < -180 ? -180 : null;
  if (seam === null) {
    return {
      geometry: { type: 'Polygon', coordinates: [close(ring, 0)] },
      bbox: [round(west), south, round(east), north],
    };
  }
  const before = clipLongitude(ring, seam, true);
  const after = clipLongitude(ring, seam, false);
  return {
    geometry: {
      type: 'MultiPolygon',
      coordinates: [[close(before, seam === 180 ? 0 : 360)], [close(after, seam === 180 ? -360 : 0)]],
    },
    bbox: [round(wrapDegrees(west)), south, round(wrapDegrees(east)), north],
  };
}

/** The part of a convex ring west (or east) of a meridian. */
function clipLongitude(ring: readonly Position[], seam: number, west: boolean): Position[] {
  const inside = (lon: number): boolean => (west ? lon <= seam : lon >= seam);
  return ring.flatMap((point, i): Position[] => {
    const next = ring[(i + 1) % ring.length]!;
    const kept: Position[] = inside(point[0]) ? [point] : [];
    if (inside(point[0]) === inside(next[0])) return kept;
    const t = (seam - point[0]) / (next[0] - point[0]);
    return [...kept, [seam, point[1] + t * (next[1] - point[1])]];
  });
}

/** Rounds, shifts by whole turns and repeats the first position at the end. */
function close(ring: readonly Position[], shift: number): Ring {
  const rounded = ring.map(([lon, lat]): Position => [round(lon + shift), round(lat)]);
  return [...rounded, rounded[0]!];
}

function joinBoundingBoxes(boxes: readonly BoundingBox[]): BoundingBox | null {
  const first = boxes[0];
  if (first === undefined) return null;
  // Relative to the first box's west, so that a picture over the antimeridian gets a small box, not the whole globe.
  const base = first[0];
  let [west, south, east, north] = [base, first[1], base, first[3]];
  for (const [w, s, e, n] of boxes) {
    const start = base + wrapDegrees(w - base);
    west = Math.min(west, start);
    east = Math.max(east, start + (e >= w ? e - w : e - w + 360));
    south = Math.min(south, s);
    north = Math.max(north, n);
  }
  return [round(wrapDegrees(west)), south, round(wrapDegrees(east)), north];
}

function round(degrees: number): number {
  return Math.round(degrees * DECIMALS) / DECIMALS;
}
