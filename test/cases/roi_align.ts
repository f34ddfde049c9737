// SPDX-License-Identifier: Apache-2.0

/** Sizes of maps, boxes of each picture, and how they are read. */
export interface RoiAlignCase {
  name: string;
  batch: number;
  channels: number;
  /** Height, width and cells of each map that a unit of the boxes is. */
  maps: [height: number, width: number, scale: number][];
  /** (x0, y0, x1, y1) and the map. */
  boxes: [number, number, number, number, level: number][];
  grid: [number, number];
  sampling: number;
  aligned: boolean;
}

const BOXES: RoiAlignCase['boxes'] = [
  [0, 0, 8, 8, 0],
  [3.2, 1.7, 11.9, 5.1, 1],
  [-4, 2, 20, 6, 0],
  [5, 5, 5.1, 5.2, 0],
  [6, 7, 13, 12, 2],
];

const MAPS: RoiAlignCase['maps'] = [
  [12, 16, 1],
  [6, 8, 0.5],
];

export const ROI_ALIGN_CASES: readonly RoiAlignCase[] = [
  {
    name: 'one box',
    batch: 1,
    channels: 1,
    maps: [[4, 5, 1]],
    boxes: [[0.5, 0.5, 3, 2, 0]],
    grid: [1, 1],
    sampling: 0,
    aligned: false,
  },
  {
    name: 'two maps',
    batch: 2,
    channels: 3,
    maps: MAPS,
    boxes: BOXES,
    grid: [7, 7],
    sampling: 0,
    aligned: false,
  },
  {
    name: 'half a pixel',
    batch: 2,
    channels: 17,
    maps: MAPS,
    boxes: BOXES,
    grid: [3, 2],
    sampling: 0,
    aligned: true,
  },
  {
    name: 'two samples',
    batch: 1,
    channels: 33,
    maps: MAPS,
    boxes: BOXES,
    grid: [2, 5],
    sampling: 2,
    aligned: false,
  },
];
