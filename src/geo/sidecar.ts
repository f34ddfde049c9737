// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { EXIT_CODES, UserError } from '../errors.js';
import { errorCode } from '../files.js';
import { type Crs, crsFromGeoKeys, crsFromText } from './crs.js';
import {
  type Affine,
  affineFromTags,
  Georeference,
  type GeoTags,
  isUsable,
  shiftAffine,
} from './georeference.js';

/** A georeference, or why there is none and what would help; `warning` is about one that exists. */
export interface GeoreferenceResult {
  georeference: Georeference | null;
  /** Why `georeference` is null, with the remedy; null otherwise. */
  missing: string | null;
  warning: string | null;
}

/**
 * Puts a picture on the map: from its own tags, else from a world file (`.tfw`, `.pgw`, `.jgw`, `.wld`) and a `.prj`
 * beside it, else from `crs` as the user gave it. Position and reference system are looked for separately.
 *
 * @param tags GeoTIFF tags, or null
 * @param path the picture's path; null when it came as bytes, then no files are looked for
 * @param crs a reference system that the user names for pictures without one
 */
export async function locate(
  size: { width: number; height: number },
  tags: GeoTags | null,
  path: string | null,
  crs: string | undefined,
): Promise<GeoreferenceResult> {
  const tagAffine = tags === null ? 'it has no georeference tags' : affineFromTags(tags);
  const tagCrs = tags?.keys ? crsFromGeoKeys(tags.keys) : 'it names no coordinate reference system';
  const world = typeof tagAffine === 'string' && path !== null ? await readWorldFile(path) : null;
  const affine = typeof tagAffine === 'string' ? (world?.affine ?? null) : tagAffine;
  if (affine === null) {
    const wanted = path === null ? '' : ` (world file, e.g. ${basename(worldFileNames(path)[0]!)})`;
    return none(`${String(tagAffine)}; give a GeoTIFF, or a file that says where it lies${wanted}`);
  }
  const system = typeof tagCrs === 'string' ? await sidecarCrs(path, crs) : tagCrs;
  const positioned = world === null ? 'its tags give a position' : `${world.name} gives a position`;
  if (system === null) {
    const beside = path === null ? '' : ` in ${basename(path, extname(path))}.prj or`;
    return none(
      `${positioned} but no usable coordinate reference system (${String(tagCrs)}); ` +
        `name one${beside} with --crs, e.g. EPSG:32617`,
    );
  }
  const georeference = new Georeference(affine, system, world === null ? 'GeoTIFF tags' : world.name);
  const [lon, lat] = georeference.toLonLat(size.width / 2, size.height / 2);
  if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 540)) {
    return none(`${positioned} that is outside ${system.name}; correct its coordinate reference system`);
  }
  return { georeference, missing: null, warning: system.warning };
}

function none(missing: string): GeoreferenceResult {
  return { georeference: null, missing, warning: null };
}

async function sidecarCrs(path: string | null, crs: string | undefined): Promise<Crs | null> {
  if (path !== null) {
    const name = `${withoutExtension(path)}.prj`;
    const text = (await readText(name)) ?? (await readText(`${withoutExtension(path)}.PRJ`));
    if (text !== null) return crsFromText(text, name);
  }
  return crs === undefined ? null : crsFromText(crs, '--crs');
}

/** World file names for a picture, most usual first: `scene.tif` has `scene.tfw`, `scene.tifw`, `scene.wld`. */
function worldFileNames(path: string): string[] {
  const extension = extname(path).slice(1).toLowerCase();
  const short = extension.length >= 2 ? `${extension[0]}${extension.at(-1)}w` : 'wld';
  return [short, `${extension}w`, 'wld'].map((ending) => `${withoutExtension(path)}.${ending}`);
}

/**
 * Reads the world file beside a picture: six numbers (A D B E C F), C and F the **centre** of the first pixel.
 *
 * @throws UserError when there is one but it is wrong
 */
async function readWorldFile(path: string): Promise<{ affine: Affine; name: string } | null> {
  for (const candidate of worldFileNames(path).flatMap((name) => [name, upperExtension(name)])) {
    const text = await readText(candidate);
    if (text === null) continue;
    const numbers = text.trim().split(/\s+/).map(Number);
    const [a, d, b, e, c, f] = numbers as [number, number, number, number, number, number];
    const centred: Affine = [a, b, c, d, e, f];
    if (numbers.length !== 6 || !isUsable(centred)) {
      throw new UserError(
        `${candidate}: not a world file: expected six numbers on six lines ` +
          '(pixel width, two rotations, negative pixel height, x and y of the first pixel); correct or remove it',
        EXIT_CODES.data,
      );
    }
    return { affine: shiftAffine(centred, -0.5, -0.5), name: basename(candidate) };
  }
  return null;
}

function withoutExtension(path: string): string {
  return path.slice(0, path.length - extname(path).length);
}

function upperExtension(name: string): string {
  return withoutExtension(name) + extname(name).toUpperCase();
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
    throw error;
  }
}
