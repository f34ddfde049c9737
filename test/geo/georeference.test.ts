// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { crsFromText, type Georeference, openRaster } from '../../src/geo/index.js';
import { type TiffOptions, writeTiff } from './tiff_fixture.js';

const base: TiffOptions = {
  width: 40,
  height: 40,
  bands: 1,
  type: 'uint8',
  value: (x, y) => (x * 5 + y) % 256,
};
const MODEL = 1024;
const RASTER = 1025;
const GEOGRAPHIC = 2048;
const PROJECTED = 3072;
const utm17 = { [MODEL]: 1, [RASTER]: 1, [PROJECTED]: 32617 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfgeo-place-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function placeOf(options: Partial<TiffOptions>): Promise<Georeference> {
  const raster = await openRaster(writeTiff({ ...base, ...options }));
  expect(raster.georeferenceMissing).toBeNull();
  return raster.georeference!;
}

/** Compares longitude and latitude to within about a millimetre. */
function expectPlace(actual: readonly number[], lon: number, lat: number): void {
  expect(actual[0]).toBeCloseTo(lon, 8);
  expect(actual[1]).toBeCloseTo(lat, 8);
}

/** Longitudes and latitudes by PROJ 9 (pyproj). */
const PROJ_ORACLE: [string, number, number, number, number, digits: number][] = [
  ['EPSG:32617', 404231.9, 3285122.9, -81.98989097872905, 29.692503845102053, 9],
  ['EPSG:32616', 733826, 3724914, -84.47893632912611, 33.63839602376106, 9],
  ['EPSG:3857', 500000, 4000000, 4.491576420597607, 33.78523007002313, 9],
  ['EPSG:2263', 984250, 200000, -74.0, 40.715630498051446, 9],
  ['EPSG:2154', 700000, 6600000, 3.0, 46.499999999999986, 9],
  ['EPSG:3413', 100000, -200000, -18.43494882292201, 87.93603688683336, 9],
  ['EPSG:27700', 530000, 180000, -0.12835394047946935, 51.50399082763378, 8],
  ['EPSG:28992', 155000, 463000, 5.3872035084137675, 52.15517230119224, 7],
  ['EPSG:31467', 3500000, 5500000, 8.99896356404719, 49.63671064225719, 8],
  ['EPSG:26717', 404211.9, 3285142.9, -81.98994694334914, 29.694544541141916, 8],
  ['+proj=utm +zone=17 +datum=WGS84', 404231.9, 3285122.9, -81.98989097872905, 29.692503845102053, 9],
  [
    '+proj=aea +lat_0=23 +lon_0=-96 +lat_1=29.5 +lat_2=45.5 +datum=WGS84',
    -665745,
    2122485,
    -104.08499982298164,
    41.85015233437473,
    8,
  ],
];

describe('reference systems', () => {
  it.each(PROJ_ORACLE)('%s agrees with PROJ', (text, x, y, lon, lat, digits) => {
    const crs = crsFromText(text, 'test');
    const place = crs.toLonLat(x, y);
    expect(place[0]).toBeCloseTo(lon, digits);
    expect(place[1]).toBeCloseTo(lat, digits);
    const back = crs.fromLonLat(...place);
    expect(back[0]).toBeCloseTo(x, 2);
    expect(back[1]).toBeCloseTo(y, 2);
  });

  it('reads WKT and bare codes, and refuses others', () => {
    const wkt =
      'PROJCS["WGS 84 / UTM zone 17N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],' +
      'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],' +
      'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",-81],PARAMETER["scale_factor",0.9996],' +
      'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1],AUTHORITY["EPSG","32617"]]';
    expect(crsFromText(wkt, 'a.prj').name).toBe('EPSG:32617');
    expectPlace(
      crsFromText(wkt, 'a.prj').toLonLat(404231.9, 3285122.9),
      -81.98989097872905,
      29.692503845102053,
    );
    expect(crsFromText('32617', '--crs').epsg).toBe(32617);
    expect(() => crsFromText('EPSG:99999', '--crs')).toThrow(
      /^--crs: EPSG:99999 is not a known .*; give a code/,
    );
    expect(() => crsFromText('somewhere in Utah', 'a.prj')).toThrow(/^a\.prj: 'somewhere in Utah' is not/);
  });
});

describe('GeoTIFF tags', () => {
  const grid = { tiepoint: [0, 0, 0, 404211.9, 3285142.9, 0], scale: [0.1, 0.1, 0] };

  it('pixel is area: the tie point is a corner', async () => {
    const place = await placeOf({ ...grid, geoKeys: utm17 });
    expect(place.crs.name).toBe('EPSG:32617');
    expect(place.toCrs(200, 200)).toEqual([404231.9, 3285122.9]);
    expectPlace(place.toLonLat(200, 200), -81.98989097872905, 29.692503845102053);
    const [column, row] = place.fromLonLat(...place.toLonLat(12.25, 30.5));
    expect(column).toBeCloseTo(12.25, 4);
    expect(row).toBeCloseTo(30.5, 4);
  });

  it('pixel is point: the tie point is a centre', async () => {
    const place = await placeOf({ ...grid, geoKeys: { ...utm17, [RASTER]: 2 } });
    const [x, y] = place.toCrs(0.5, 0.5);
    expect(x).toBeCloseTo(404211.9, 6);
    expect(y).toBeCloseTo(3285142.9, 6);
  });

  it('a tie point elsewhere than the corner', async () => {
    const place = await placeOf({
      tiepoint: [10, 20, 0, 404211.9, 3285142.9, 0],
      scale: [0.5, 0.25, 0],
      geoKeys: utm17,
    });
    expect(place.toCrs(10, 20)).toEqual([404211.9, 3285142.9]);
    expect(place.toCrs(12, 24)).toEqual([404212.9, 3285141.9]);
  });

  it('a rotated grid by its transformation matrix', async () => {
    const transformation = [0, 2, 0, 500000, 2, 0, 0, 4000000, 0, 0, 0, 0, 0, 0, 0, 1];
    const place = await placeOf({ transformation, geoKeys: { ...utm17, [PROJECTED]: 32631 } });
    expect(place.toCrs(3, 5)).toEqual([500010, 4000006]);
    expect(place.metresPerPixel(20, 20)).toBeCloseTo(2, 2);
  });

  it('degrees, with metres per pixel at the latitude', async () => {
    const degrees = { tiepoint: [0, 0, 0, -115.2338, 60, 0], scale: [1e-5, 1e-5, 0] };
    const place = await placeOf({ ...degrees, geoKeys: { [MODEL]: 2, [RASTER]: 1, [GEOGRAPHIC]: 4326 } });
    expectPlace(place.toLonLat(10, 10), -115.2337, 59.9999);
    // WGS 84 at 60 degrees: 1 degree is 55,800 m of longitude and 111,412 m of latitude.
    expect(place.metresPerPixel(0, 0)).toBeCloseTo(Math.sqrt(0.558 * 1.11412), 3);
  });

  it('Web Mercator, whose metres are not metres on the ground', async () => {
    const place = await placeOf({
      tiepoint: [0, 0, 0, 0, 8399737.89, 0],
      scale: [1, 1, 0],
      geoKeys: { ...utm17, [PROJECTED]: 3857 },
    });
    expect(place.toLonLat(0, 0)[1]).toBeCloseTo(60, 4);
    expect(place.metresPerPixel(0, 0)).toBeGreaterThan(0.49);
    expect(place.metresPerPixel(0, 0)).toBeLessThan(0.51);
  });

  it('both systems named, as many writers do: the projected one counts', async () => {
    const place = await placeOf({ ...grid, geoKeys: { ...utm17, [GEOGRAPHIC]: 4326 } });
    expect(place.crs.name).toBe('EPSG:32617');
  });

  it.each([
    ['no tags', {}, /no georeference tags; give a GeoTIFF/],
    ['position only', grid, /gives? a position but no usable coordinate reference system .*--crs/],
    ['an unknown code', { ...grid, geoKeys: { ...utm17, [PROJECTED]: 9999 } }, /EPSG:9999 is not a known/],
    ['no pixel size', { ...grid, scale: [0, 0, 0], geoKeys: utm17 }, /pixels of no size/],
    [
      'control points only',
      { tiepoint: [0, 0, 0, 1, 1, 0, 9, 9, 0, 2, 2, 0], geoKeys: utm17 },
      /ground control points .* gdalwarp/,
    ],
    [
      'metres called degrees',
      { ...grid, geoKeys: { [MODEL]: 2, [RASTER]: 1, [GEOGRAPHIC]: 4326 } },
      /a position that is outside EPSG:4326/,
    ],
  ])('%s: no georeference, and why', async (_name, options, message) => {
    const raster = await openRaster(writeTiff({ ...base, ...options }));
    expect(raster.georeference).toBeNull();
    expect(raster.metresPerPixel).toBeNull();
    expect(raster.georeferenceMissing).toMatch(message);
  });

  it('takes a reference system from the user where the file has none', async () => {
    const raster = await openRaster(writeTiff({ ...base, ...grid }), { crs: 'EPSG:32617' });
    expect(raster.georeference!.crs.epsg).toBe(32617);
  });
});

describe('world files', () => {
  const world = '0.1\n0\n0\n-0.1\n404211.95\n3285142.85\n';

  async function picture(name: string): Promise<string> {
    const path = join(folder, name);
    const raw = { width: 40, height: 40, channels: 3 as const };
    await sharp(Buffer.alloc(4800, 80), { raw }).toFile(path);
    return path;
  }

  it('place a PNG together with a .prj', async () => {
    const path = await picture('both.png');
    await writeFile(join(folder, 'both.pgw'), world);
    await writeFile(join(folder, 'both.prj'), 'EPSG:32617');
    const raster = await openRaster(path);
    expect(raster.georeference!.source).toBe('both.pgw');
    // The world file speaks of the first pixel's centre; boxes count from its corner.
    const [x, y] = raster.georeference!.toCrs(0, 0);
    expect(x).toBeCloseTo(404211.9, 6);
    expect(y).toBeCloseTo(3285142.9, 6);
    expect(raster.metresPerPixel).toBeCloseTo(0.1, 3);
  });

  it('say clearly that a reference system is missing', async () => {
    const path = await picture('half.jpg');
    await writeFile(join(folder, 'half.jgw'), world);
    const raster = await openRaster(path);
    expect(raster.georeference).toBeNull();
    expect(raster.georeferenceMissing).toBe(
      'half.jgw gives a position but no usable coordinate reference system ' +
        '(it names no coordinate reference system); name one in half.prj or with --crs, e.g. EPSG:32617',
    );
    expect((await openRaster(path, { crs: 'EPSG:32617' })).georeference).not.toBeNull();
  });

  it('are refused when they are wrong', async () => {
    const path = await picture('bad.png');
    await writeFile(join(folder, 'bad.pgw'), '0.1\n0\nx\n');
    await expect(openRaster(path)).rejects.toThrow(/bad\.pgw: not a world file: expected six numbers/);
  });

  it('stand in for missing TIFF tags', async () => {
    const path = join(folder, 'plain.tif');
    await writeFile(path, writeTiff({ ...base, geoKeys: utm17 }));
    await writeFile(join(folder, 'plain.tfw'), world);
    const { georeference } = await openRaster(path);
    expect(georeference!.crs.name).toBe('EPSG:32617');
    expect(georeference!.toCrs(0, 0)[0]).toBeCloseTo(404211.9, 6);
  });
});
