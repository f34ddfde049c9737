// SPDX-License-Identifier: Apache-2.0
import type { GeoTIFFImage } from 'geotiff';
import type { Crs, GeoKeyValues } from './crs.js';

/**
 * `x = a*column + b*row + c`, `y = d*column + e*row + f`, where (0, 0) is the **outer corner** of the first pixel and
 * (0.5, 0.5) its centre, as boxes are counted.
 */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** The georeference tags of a GeoTIFF (OGC 19-008r4), unread. */
export interface GeoTags {
  tiepoints: readonly number[] | null;
  pixelScale: readonly number[] | null;
  transformation: readonly number[] | null;
  keys: GeoKeyValues | null;
}

const RASTER_PIXEL_IS_POINT = 2;
/** WGS 84. */
const SEMI_MAJOR_METRES = 6378137;
const ECCENTRICITY_SQUARED = 0.00669437999014;

/** Collects what a GeoTIFF says about its place; null when it says nothing. */
export async function readGeoTags(image: GeoTIFFImage): Promise<GeoTags | null> {
  const directory = image.fileDirectory;
  const numbers = async (
    tag: 'ModelTiepoint' | 'ModelPixelScale' | 'ModelTransformation',
  ): Promise<number[] | null> => {
    const value = directory.hasTag(tag) ? await directory.loadValue(tag) : null;
    return value === null || value === undefined ? null : Array.from(value as ArrayLike<number>);
  };
  const tiepoints = await numbers('ModelTiepoint');
  const pixelScale = await numbers('ModelPixelScale');
  const transformation = await numbers('ModelTransformation');
  const keys = image.getGeoKeys() as GeoKeyValues | null;
  if (tiepoints === null && pixelScale === null && transformation === null && keys === null) return null;
  return { tiepoints, pixelScale, transformation, keys };
}

/** The affine map of GeoTIFF tags, or a sentence saying why there is none. */
export function affineFromTags(tags: GeoTags): Affine | string {
  const { tiepoints, pixelScale, transformation } = tags;
  let affine: Affine;
  if (transformation !== null && transformation.length >= 8) {
    const m = transformation;
    affine = [m[0]!, m[1]!, m[3]!, m[4]!, m[5]!, m[7]!];
  } else if (tiepoints !== null && tiepoints.length >= 6 && pixelScale !== null && pixelScale.length >= 2) {
    const [column, row, , x, y] = tiepoints;
    const [sx, sy] = pixelScale;
    affine = [sx!, 0, x! - column! * sx!, 0, -sy!, y! + row! * sy!];
  } else if (tiepoints !== null && tiepoints.length > 6) {
    return 'it has ground control points but no map from pixels to coordinates; straighten it with gdalwarp first';
  } else {
    return 'its tags give no position';
  }
  // "Pixel is point": the tags speak of pixel centres, so the corner lies half a pixel before.
  if (tags.keys?.GTRasterTypeGeoKey === RASTER_PIXEL_IS_POINT) affine = shiftAffine(affine, -0.5, -0.5);
  return isUsable(affine) ? affine : 'its tags give pixels of no size';
}

/** The affine map with the origin moved by whole or half pixels. */
export function shiftAffine([a, b, c, d, e, f]: Affine, columns: number, rows: number): Affine {
  return [a, b, c + a * columns + b * rows, d, e, f + d * columns + e * rows];
}

/** True when the map can be turned round and holds no NaN. */
export function isUsable(affine: Affine): boolean {
  const [a, b, , d, e] = affine;
  return affine.every(Number.isFinite) && a * e - b * d !== 0;
}

/** Where a picture lies on the earth: pixels to coordinates to longitude and latitude. */
export class Georeference {
  /**
   * @param affine pixel corners to coordinates of `crs`
   * @param source what said so: `GeoTIFF tags`, or the name of a world file
   */
  constructor(
    readonly affine: Affine,
    readonly crs: Crs,
    readonly source: string,
  ) {}

  /** Coordinates in the picture's own reference system. Pixels are continuous: 0.5 is the centre of the first one. */
  toCrs(column: number, row: number): [x: number, y: number] {
    const [a, b, c, d, e, f] = this.affine;
    return [a * column + b * row + c, d * column + e * row + f];
  }

  /** Longitude and latitude on WGS 84, degrees. */
  toLonLat(column: number, row: number): [lon: number, lat: number] {
    return this.crs.toLonLat(...this.toCrs(column, row));
  }

  /** The pixel position of a longitude and latitude; the inverse of `toLonLat`. */
  fromLonLat(lon: number, lat: number): [column: number, row: number] {
    const [x, y] = this.crs.fromLonLat(lon, lat);
    const [a, b, c, d, e, f] = this.affine;
    const determinant = a * e - b * d;
    return [(e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant];
  }

  /**
   * Ground size of a pixel at a place: the side of the square with its area, measured on the ellipsoid, so that degrees
   * and stretched projections (Web Mercator) come out right too.
   */
  metresPerPixel(column: number, row: number): number {
    const [lon0, lat0] = this.toLonLat(column, row);
    const toMetres = ([lon, lat]: readonly [number, number]): [number, number] => {
      const phi = (lat0 * Math.PI) / 180;
      const w = 1 - ECCENTRICITY_SQUARED * Math.sin(phi) ** 2;
      const meridian = (SEMI_MAJOR_METRES * (1 - ECCENTRICITY_SQUARED)) / w ** 1.5;
      const normal = SEMI_MAJOR_METRES / Math.sqrt(w);
      const degrees = Math.PI / 180;
      return [wrapDegrees(lon - lon0) * degrees * normal * Math.cos(phi), (lat - lat0) * degrees * meridian];
    };
    // Ten pixels on both sides: one alone would lose digits in the subtraction.
    const step = 10;
    const [ux, uy] = toMetres(this.toLonLat(column + step, row));
    const [vx, vy] = toMetres(this.toLonLat(column - step, row));
    const [px, py] = toMetres(this.toLonLat(column, row + step));
    const [qx, qy] = toMetres(this.toLonLat(column, row - step));
    return Math.sqrt(Math.abs((ux - vx) * (py - qy) - (uy - vy) * (px - qx))) / (2 * step);
  }
}

/** A difference of longitudes in (-180, 180]. */
export function wrapDegrees(degrees: number): number {
  return degrees - 360 * Math.ceil((degrees - 180) / 360);
}
