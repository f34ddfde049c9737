// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EXIT_CODES, UserError } from '../../src/errors.js';
import {
  type Affine,
  assertWritable,
  crsFromText,
  type DetectionFeature,
  type DetectionSet,
  Georeference,
  toDetections,
  toGeoJson,
  WRITERS,
  writeDetections,
  writerFor,
} from '../../src/geo/index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tfgeo-out-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function setAt(affine: Affine, crs: string): DetectionSet {
  return {
    source: 'scene.tif',
    width: 400,
    height: 400,
    prompt: 'the "red" boats, and the pier',
    georeference: new Georeference(affine, crsFromText(crs, 'test'), 'test'),
    model: 'tiny',
    detections: [
      { box: [10, 20, 30, 60], score: 0.91234, phrase: 'red" boats', spans: [[5, 15]] },
      { box: [100.123, 0, 140, 25], score: 0.5, phrase: 'pier', spans: [[25, 29]], category: 'pier' },
    ],
  };
}

const osbs = setAt([0.1, 0, 404211.9, 0, -0.1, 3285142.9], 'EPSG:32617');

function ringArea(ring: readonly (readonly number[])[]): number {
  let area = 0;
  for (let i = 0; i + 1 < ring.length; i++)
    area += ring[i]![0]! * ring[i + 1]![1]! - ring[i + 1]![0]! * ring[i]![1]!;
  return area;
}

/** What RFC 7946 demands of every feature here. */
function checkFeature(feature: DetectionFeature): void {
  const polygons =
    feature.geometry.type === 'Polygon' ? [feature.geometry.coordinates] : feature.geometry.coordinates;
  for (const [ring] of polygons) {
    expect(ring!.length).toBeGreaterThanOrEqual(4);
    expect(ring!.at(-1)).toEqual(ring![0]);
    expect(ringArea(ring!)).toBeGreaterThan(0);
    for (const [lon, lat] of ring!) {
      expect(Math.abs(lon)).toBeLessThanOrEqual(180);
      expect(Math.abs(lat)).toBeLessThanOrEqual(90);
    }
  }
}

describe('toGeoJson', () => {
  it('gives closed counter-clockwise rings in longitude and latitude, with bounding boxes', () => {
    const { type, bbox, features } = toGeoJson(osbs);
    expect(type).toBe('FeatureCollection');
    features.forEach(checkFeature);
    const [first] = features;
    // Corner (10, 20) of the picture: PROJ gives this place for (404212.9, 3285140.9).
    const ring = (first!.geometry.coordinates as unknown as number[][][])[0]!;
    expect(ring).toHaveLength(5);
    const [west, south, east, north] = first!.bbox;
    expect(ring.some(([lon, lat]) => Math.abs(lon! - west) < 1e-6 && Math.abs(lat! - north) < 1e-6)).toBe(
      true,
    );
    expect((east - west) * 96_800).toBeCloseTo(2, 1); // 20 pixels of 0.1 m; 96.8 km a degree there
    expect((north - south) * 110_860).toBeCloseTo(4, 1);
    expect(bbox![0]).toBe(west);
    expect(bbox![2]).toBe(features[1]!.bbox[2]);
    expect(first!.properties).toEqual({
      score: 0.9123,
      phrase: 'red" boats',
      spans: [[5, 15]],
      prompt: 'the "red" boats, and the pier',
      source: 'scene.tif',
      box: [10, 20, 30, 60],
      model: 'tiny',
    });
    expect(features[1]!.properties.category).toBe('pier');
  });

  it('keeps the ring direction when the picture is mirrored or turned', () => {
    toGeoJson(setAt([0.1, 0, 404211.9, 0, 0.1, 3285142.9], 'EPSG:32617')).features.forEach(checkFeature);
    toGeoJson(setAt([0, 0.1, 404211.9, 0.1, 0, 3285142.9], 'EPSG:32617')).features.forEach(checkFeature);
  });

  it('cuts shapes at the antimeridian', () => {
    // 0.01 degrees a pixel from 179.8 east: pixel 20 lies on the antimeridian.
    const { bbox, features } = toGeoJson(setAt([0.01, 0, 179.8, 0, -0.01, -17], 'EPSG:4326'));
    features.forEach(checkFeature);
    const [crossing, beyond] = features;
    expect(crossing!.geometry.type).toBe('MultiPolygon');
    expect(crossing!.bbox).toEqual([179.9, -17.6, -179.9, -17.2]);
    const lons = (crossing!.geometry.coordinates as unknown as number[][][][]).map(([ring]) =>
      ring!.map(([lon]) => lon!),
    );
    expect(Math.min(...lons[0]!)).toBeCloseTo(179.9, 8);
    expect(Math.max(...lons[0]!)).toBe(180);
    expect(Math.min(...lons[1]!)).toBe(-180);
    expect(Math.max(...lons[1]!)).toBeCloseTo(-179.9, 8);
    expect(beyond!.geometry.type).toBe('Polygon');
    expect(beyond!.bbox[0]).toBeCloseTo(-179.19877, 5);
    expect(bbox![0]).toBeCloseTo(179.9, 8);
    expect(bbox![2]).toBeCloseTo(-178.8, 8);
  });

  it('says why a picture without georeference cannot be mapped, and what to do', () => {
    const set = {
      ...osbs,
      georeference: null,
      georeferenceMissing: 'it has no georeference tags; give a GeoTIFF',
    };
    expect(() => toGeoJson(set)).toThrow(
      'scene.tif: no georeference, so boxes have no longitude and latitude: it has no georeference tags; ' +
        'give a GeoTIFF; or write pixel boxes to a .json or .csv file',
    );
    expect(() => assertWritable('out.geojson', set)).toThrow(UserError);
    expect(() => assertWritable('out.csv', set)).not.toThrow();
  });

  it('refuses coordinates outside the projection', () => {
    const far = setAt([1e7, 0, 404211.9, 0, -1e7, 3285142.9], 'EPSG:32617');
    expect(() => toGeoJson(far)).toThrow(/outside the domain of EPSG:32617/);
  });

  it('takes no boxes at all', () => {
    expect(toGeoJson({ ...osbs, detections: [] })).toEqual({ type: 'FeatureCollection', features: [] });
  });
});

describe('writeDetections', () => {
  const write = async (name: string, set: DetectionSet = osbs): Promise<string> => {
    const path = join(folder, name);
    await writeDetections(path, set);
    return readFile(path, 'utf8');
  };

  it('writes GeoJSON that reads back as what toGeoJson gives, with any number of features', async () => {
    expect(JSON.parse(await write('a.geojson'))).toEqual(JSON.parse(JSON.stringify(toGeoJson(osbs))));
    const one = { ...osbs, detections: osbs.detections.slice(0, 1) };
    expect(JSON.parse(await write('one.GEOJSON', one)).features).toHaveLength(1);
    expect(JSON.parse(await write('none.geojson', { ...osbs, detections: [] })).features).toEqual([]);
  });

  it('writes COCO-style JSON with prompt and spans', async () => {
    const json = JSON.parse(await write('made/folders/a.json', { ...osbs, georeference: null }));
    expect(json.images).toEqual([
      { id: 1, file_name: 'scene.tif', width: 400, height: 400, caption: osbs.prompt },
    ]);
    expect(json.categories.map((c: { name: string }) => c.name)).toEqual(['red" boats', 'pier']);
    expect(json.annotations[0]).toMatchObject({
      bbox: [10, 20, 20, 40],
      area: 800,
      category_id: 1,
      tokens_positive: [[5, 15]],
    });
  });

  it('writes CSV with quoted text and the centre of each box', async () => {
    const lines = (await write('a.csv')).split('\r\n');
    expect(lines[0]).toBe('source,prompt,phrase,score,x0,y0,x1,y1,longitude,latitude,spans');
    const centre = osbs.georeference!.toLonLat(20, 40).map((v) => v.toFixed(8));
    expect(lines[1]).toBe(
      `scene.tif,"the ""red"" boats, and the pier","red"" boats",0.9123,10.00,20.00,30.00,60.00,${centre.join(',')},5-15`,
    );
    expect((await write('b.csv', { ...osbs, georeference: null })).split('\r\n')[2]).toMatch(
      /,25\.00,,,25-29$/,
    );
  });

  it('names the known formats for an unknown extension', () => {
    expect(() => writerFor('boats.geojsn')).toThrow(
      'boats.geojsn: unknown output format .geojsn, did you mean .geojson? (known: .geojson, .json, .csv)',
    );
    expect(() => writerFor('boats')).toThrow(/no file extension, so no output format \(known:/);
    expect(new Set(WRITERS.map((row) => row.extension)).size).toBe(WRITERS.length);
  });

  it('leaves the old file and no temporary one when something fails', async () => {
    const place = join(folder, 'keep');
    await mkdir(place);
    const path = join(place, 'out.geojson');
    await writeFile(path, 'old');
    await expect(writeDetections(path, { ...osbs, georeference: null })).rejects.toThrow(/no georeference/);
    expect(await readFile(path, 'utf8')).toBe('old');
    await mkdir(join(place, 'folder.csv'));
    const error = await writeDetections(join(place, 'folder.csv'), osbs).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).exitCode).toBe(EXIT_CODES.data);
    expect((error as UserError).message).toMatch(
      /cannot write .*folder\.csv: that is a folder; give a file name/,
    );
    await expect(writeDetections(join(path, 'below.csv'), osbs)).rejects.toThrow(
      /part of that path is a file/,
    );
    expect((await readdir(place)).sort()).toEqual(['folder.csv', 'out.geojson']);
  });
});

describe('toDetections', () => {
  it('joins parallel lists and refuses lists of different lengths', () => {
    const lists = {
      boxes: [[0, 0, 1, 1] as const],
      scores: [0.5],
      phrases: ['a'],
      spans: [[[0, 1] as const]],
    };
    expect(toDetections(lists)).toEqual([{ box: [0, 0, 1, 1], score: 0.5, phrase: 'a', spans: [[0, 1]] }]);
    expect(() => toDetections({ ...lists, scores: [] })).toThrow(/one length/);
  });
});
