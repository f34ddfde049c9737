// SPDX-License-Identifier: Apache-2.0
import { type DataWheel, openDataWheel, readWheelFiles } from '../../data_wheel.js';
import { EXIT_CODES, UserError } from '../../errors.js';
import { openRaster, type Raster, type Window } from '../../geo/index.js';
import type { DataProblems } from './validate.js';
import { validateObjects } from './validate.js';
import { parseVoc } from './voc.js';

/** DeepForest 2.1.0 (Weinstein et al., MIT licence) carries NEON pictures with boxes around tree crowns. */
const NEON_WHEEL: DataWheel = {
  requirement: 'deepforest==2.1.0',
  fileName: 'deepforest-2.1.0-py3-none-any.whl',
  sha256: '8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54',
};

/** Ground size of a pixel of NEON's airborne camera product (DP3.30010.001). */
export const NEON_METRES_PER_PIXEL = 0.1;

/** The labelled pictures. Only `SOAP_061` tells dead trees from live ones. */
const NEON_PICTURES = {
  OSBS_029: { image: 'OSBS_029.tif', labels: 'OSBS_029.xml' },
  SOAP_061: { image: 'SOAP_061.png', labels: 'SOAP_061.xml' },
  YELL_528: {
    image: '2019_YELL_2_528000_4978000_image_crop2.png',
    labels: '2019_YELL_2_528000_4978000_image_crop2.xml',
  },
  YELL_541: {
    image: '2019_YELL_2_541000_4977000_image_crop.png',
    labels: '2019_YELL_2_541000_4977000_image_crop.xml',
  },
} as const;

export type NeonPictureName = keyof typeof NEON_PICTURES;
export type NeonSplit = 'train' | 'val' | 'test';

/** A part of a picture that belongs to a split. */
export interface NeonRegion {
  picture: NeonPictureName;
  split: NeonSplit;
  /** Whole pixels of the picture. */
  area: Window;
}

/**
 * The split. Forests look alike within a picture, so a figure on other parts of a training picture says little:
 *
 * - **test** is `OSBS_029`, whole (61 crowns; Florida, a site that no training picture comes from), and the right part of
 *   `SOAP_061`: the only picture that tells dead trees from live ones, so it had to be cut. 20 pixels (2 m) between its
 *   parts belong to neither, and crowns on the cut are clipped to their part.
 * - **val** is the right part of `YELL_541`, for watching a run; again with a gap of 20 pixels.
 * - **train** is the rest: `YELL_528`, whole, and the left parts of `YELL_541` and `SOAP_061`.
 */
export const NEON_SPLIT: readonly NeonRegion[] = [
  { picture: 'YELL_528', split: 'train', area: { x: 0, y: 0, width: 2299, height: 2472 } },
  { picture: 'YELL_541', split: 'train', area: { x: 0, y: 0, width: 989, height: 1035 } },
  { picture: 'SOAP_061', split: 'train', area: { x: 0, y: 0, width: 190, height: 400 } },
  { picture: 'YELL_541', split: 'val', area: { x: 1009, y: 0, width: 240, height: 1035 } },
  { picture: 'OSBS_029', split: 'test', area: { x: 0, y: 0, width: 400, height: 400 } },
  { picture: 'SOAP_061', split: 'test', area: { x: 210, y: 0, width: 190, height: 400 } },
];

/** A picture with its crowns. */
export interface NeonPicture {
  raster: Raster;
  objects: { box: [number, number, number, number]; category: string }[];
}

/**
 * Reads the labelled pictures out of the wheel; nothing is unpacked to disk.
 *
 * @param names which; default all
 * @param folder cache folder, default the usual one
 */
export async function loadNeonPictures(
  names: readonly NeonPictureName[] = Object.keys(NEON_PICTURES) as NeonPictureName[],
  folder?: string,
): Promise<{ pictures: Map<NeonPictureName, NeonPicture>; problems: DataProblems }> {
  const bytes = await openDataWheel(NEON_WHEEL, folder);
  const wanted = names.flatMap((name) => Object.values(NEON_PICTURES[name])).map(inWheel);
  const files = readWheelFiles(bytes, (name) => wanted.includes(name));
  const problems: DataProblems = { errors: [], warnings: [] };
  const pictures = new Map<NeonPictureName, NeonPicture>();
  for (const name of names) {
    const { image, labels } = NEON_PICTURES[name];
    const raster = await openRaster(fileOf(files, image), { name: image });
    const annotation = parseVoc(new TextDecoder().decode(fileOf(files, labels)), labels);
    const objects = validateObjects(labels, annotation.objects, raster, problems);
    pictures.set(name, { raster, objects: objects.map(({ box, category }) => ({ box, category })) });
  }
  return { pictures, problems };
}

/** The bytes of one file of the wheel's data folder, e.g. `OSBS_029.tif`. */
export async function readNeonFile(fileName: string, folder?: string): Promise<Uint8Array> {
  const bytes = await openDataWheel(NEON_WHEEL, folder);
  return fileOf(
    readWheelFiles(bytes, (name) => name === inWheel(fileName)),
    fileName,
  );
}

function inWheel(fileName: string): string {
  return `deepforest/data/${fileName}`;
}

function fileOf(files: ReadonlyMap<string, Uint8Array>, fileName: string): Uint8Array {
  const bytes = files.get(inWheel(fileName));
  if (bytes === undefined) {
    throw new UserError(
      `${NEON_WHEEL.fileName} holds no ${fileName}; known are ${Object.values(NEON_PICTURES)
        .map(({ image }) => image)
        .join(', ')}`,
      EXIT_CODES.data,
    );
  }
  return bytes;
}
