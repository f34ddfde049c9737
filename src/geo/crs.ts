// SPDX-License-Identifier: Apache-2.0
import geokeysToProj4, { type GeoKeys } from 'geotiff-geokeys-to-proj4';
import proj4 from 'proj4';
import { EXIT_CODES, UserError } from '../errors.js';

/** GeoTIFF's value for "not one of the registered codes, spelled out in other keys" (OGC 19-008r4, 7.1). */
const USER_DEFINED = 32767;
const MODEL_GEOGRAPHIC = 2;

/**
 * Shifts to WGS 84 (EPSG dataset, position vector, metres / arc seconds / ppm) for national datums that the GeoTIFF
 * code table gives without one. Coordinates there would otherwise land 100 to 200 m away.
 */
const DATUM_SHIFTS: readonly { name: string; holds: (code: number) => boolean; towgs84: string }[] = [
  {
    name: 'OSGB36',
    holds: (code) => code === 27700 || code === 4277,
    towgs84: '446.448,-125.157,542.06,0.15,0.247,0.842,-20.489',
  },
  {
    name: 'Amersfoort',
    holds: (code) => code === 28992 || code === 28991 || code === 4289,
    towgs84: '565.417,50.3319,465.552,-0.398957,0.343988,-1.8774,4.0725',
  },
  {
    name: 'DHDN',
    holds: (code) => (code >= 31466 && code <= 31469) || code === 4314,
    towgs84: '598.1,73.7,418.2,0.202,0.045,-2.455,6.7',
  },
  {
    name: 'ED50',
    holds: (code) => (code >= 23028 && code <= 23038) || code === 4230,
    towgs84: '-87,-98,-121,0,0,0,0',
  },
  {
    name: 'NAD27',
    holds: (code) => (code >= 26701 && code <= 26722) || code === 4267,
    towgs84: '-8,160,176,0,0,0,0',
  },
];

/** A coordinate reference system that can be turned into longitude and latitude on WGS 84. */
export interface Crs {
  /** `EPSG:32617` where a code is known, else what the file calls it. */
  readonly name: string;
  readonly epsg: number | null;
  /** True when its coordinates are degrees, not metres or feet. */
  readonly geographic: boolean;
  /** PROJ string or WKT, as given to proj4. */
  readonly definition: string;
  /** What the user should know about its accuracy, or null. */
  readonly warning: string | null;
  /** Longitude and latitude in degrees. NaN outside the projection's domain. */
  toLonLat(x: number, y: number): [lon: number, lat: number];
  fromLonLat(lon: number, lat: number): [x: number, y: number];
}

/** Geo keys by name, as the geotiff package gives them. */
export type GeoKeyValues = Readonly<Record<string, unknown>>;

/** CRS of a GeoTIFF's keys, or a sentence saying why there is none. */
export function crsFromGeoKeys(keys: GeoKeyValues): Crs | string {
  const projected = code(keys.ProjectedCSTypeGeoKey) ?? code(keys.ProjectedCRSGeoKey);
  const geographic = code(keys.GeographicTypeGeoKey) ?? code(keys.GeodeticCRSGeoKey);
  if (keys.GTModelTypeGeoKey !== MODEL_GEOGRAPHIC && projected !== null && projected !== USER_DEFINED) {
    return crsFromEpsg(projected);
  }
  if (projected === null && geographic !== null && geographic !== USER_DEFINED)
    return crsFromEpsg(geographic);
  if (projected === null && geographic === null) return 'its tags name no coordinate reference system';
  const result = geokeysToProj4.toProj4(keys as unknown as GeoKeys);
  // Heights do not matter here; and the two systems together are no fault: one is the other's base.
  const problem = Object.entries(result.errors).find(([key]) => !/^(vertical|bothGCS)/.test(key));
  if (problem !== undefined) {
    return `its user-defined coordinate reference system is not understood (${problem[0]} ${problem[1]})`;
  }
  const { x, y } = result.coordinatesConversionParameters;
  const citation = keys.PCSCitationGeoKey ?? keys.GTCitationGeoKey ?? keys.GeogCitationGeoKey;
  const name =
    typeof citation === 'string' ? `user-defined (${citation.replace(/[|\s]+$/, '')})` : 'user-defined';
  return makeCrs(name, null, result.proj4, result.isGCS, [x, y]);
}

/** CRS of an EPSG code, or a sentence saying why there is none. */
export function crsFromEpsg(epsg: number): Crs | string {
  const result = geokeysToProj4.toProj4({ ProjectedCSTypeGeoKey: epsg } as GeoKeys);
  if (Object.keys(result.errors).length > 0) return `EPSG:${epsg} is not a known coordinate reference system`;
  const { x, y } = result.coordinatesConversionParameters;
  const shift = DATUM_SHIFTS.find((row) => row.holds(epsg));
  const definition = shift === undefined ? result.proj4 : `${result.proj4.trim()} +towgs84=${shift.towgs84} `;
  return makeCrs(`EPSG:${epsg}`, epsg, definition, result.isGCS, [x, y]);
}

/**
 * CRS of `EPSG:32617`, a PROJ string or WKT, as users type it or keep it in a `.prj` file.
 *
 * @param where what the text came from, for the error
 * @throws UserError when the text is not understood
 */
export function crsFromText(text: string, where: string): Crs {
  const trimmed = text.trim();
  const epsg = /^(?:EPSG:)?(\d{4,6})$/i.exec(trimmed);
  const crs = epsg !== null ? crsFromEpsg(Number(epsg[1])) : crsFromDefinition(trimmed);
  if (typeof crs !== 'string') return crs;
  throw new UserError(
    `${where}: ${crs}; give a code such as EPSG:32617, a PROJ string or WKT`,
    EXIT_CODES.data,
  );
}

function crsFromDefinition(text: string): Crs | string {
  if (text === '') return 'no coordinate reference system in it';
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  try {
    const projection = proj4.Proj(text) as unknown as { projName?: string; title?: string; name?: string };
    const geographic = projection.projName === 'longlat';
    const authority = /(?:AUTHORITY|ID)\[\s*"EPSG"\s*,\s*"?(\d+)"?\s*\]\s*\]\s*$/i.exec(text);
    const epsg = authority === null ? null : Number(authority[1]);
    const quoted = /^\w+\[\s*"([^"]+)"/.exec(text);
    const name = epsg !== null ? `EPSG:${epsg}` : (quoted?.[1] ?? shown);
    return makeCrs(name, epsg, withOrigins(text), geographic, [1, 1]);
  } catch {
    return `'${shown}' is not a coordinate reference system that can be read`;
  }
}

/** PROJ takes absent origins for 0, proj4js for undefined: then everything is NaN. */
function withOrigins(definition: string): string {
  if (!definition.startsWith('+')) return definition;
  const absent = ['lon_0', 'lat_0', 'x_0', 'y_0'].filter((key) => !definition.includes(`+${key}=`));
  return [definition, ...absent.map((key) => `+${key}=0`)].join(' ');
}

function makeCrs(
  name: string,
  epsg: number | null,
  definition: string,
  geographic: boolean,
  toUnits: readonly [number, number],
): Crs | string {
  // Degrees in, degrees out: only units and perhaps the datum change, and proj4's axis order must not interfere.
  const cleaned = definition.replace(/\+axis=\S+\s*/, '');
  let converter: proj4.Converter;
  try {
    converter = proj4(cleaned, 'EPSG:4326');
  } catch {
    return `the projection of ${name} is not supported`;
  }
  return {
    name,
    epsg,
    geographic,
    definition: cleaned,
    warning: datumWarning(name, cleaned),
    toLonLat(x, y) {
      const [lon, lat] = converter.forward([x * toUnits[0], y * toUnits[1]]);
      return [lon!, lat!];
    },
    fromLonLat(lon, lat) {
      const [x, y] = converter.inverse([lon, lat]);
      return [x! / toUnits[0], y! / toUnits[1]];
    },
  };
}

/** Older ellipsoids belong to datums up to some 200 m away from WGS 84; without a shift the user must know. */
function datumWarning(name: string, definition: string): string | null {
  const ellipsoid = /\+ellps=(\S+)/.exec(definition)?.[1];
  const modern = ellipsoid === undefined || /^(WGS84|GRS80|sphere)$/i.test(ellipsoid);
  if (modern || /\+(towgs84|nadgrids|datum)=/.test(definition)) return null;
  return (
    `${name} rests on an older datum (ellipsoid ${ellipsoid}) whose shift to WGS 84 is not known here: ` +
    'longitudes and latitudes may be off by up to 200 m; reproject first with gdalwarp -t_srs EPSG:4326'
  );
}

function code(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null;
}
