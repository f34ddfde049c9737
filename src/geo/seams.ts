// SPDX-License-Identifier: Apache-2.0

import { areaXyxy, intersectionXyxy, iosXyxy, iouXyxy } from '../models/nms.js';
import type { BoxXyxy, Detection } from '../models/types.js';
import type { Tile } from './tiles.js';

export interface SeamOptions {
  /** Boxes of two tiles are one object above this intersection over union. Default 0.5. */
  iou?: number;
  /** A box cut by its tile's edge is part of another above this intersection over the smaller. Default 0.6. */
  ios?: number;
  /** Distance from an inner tile edge, pixels, within which a box counts as cut by it. Default 2 % of the tile, at least 2. */
  edge?: number;
}

/** Sides of two pieces of one object may differ by this part of the smaller piece: detectors are not exact. */
const SIDE_TOLERANCE = 0.3;
/** The box that replaces a cut one has at least this part of its area; less than 1 because edges are inexact. */
const PART_TOLERANCE = 0.8;

interface Candidate {
  detection: Detection;
  /** Tiles that contributed; two boxes of one tile are never merged, the model has told them apart. */
  tiles: readonly number[];
  /** Inner tile edges that the box touches. */
  cut: { left: boolean; top: boolean; right: boolean; bottom: boolean };
  /** The centre lies in the core of the tile that found it. */
  owned: boolean;
}

/**
 * Joins what neighbouring tiles found into one list without doubled or halved objects.
 *
 * An object up to the overlap's size is whole in some tile, so boxes cut by an inner tile edge give way to a whole box
 * that holds them; of two whole ones the tile in whose core the centre lies wins, then the higher score. Longer objects
 * are cut in every tile: pieces that continue each other across a seam become one box. Only boxes of the same phrase and
 * of different tiles meet. Detections are handed out as soon as no later tile can change them, so that memory holds
 * about one row of tiles; the result does not depend on when.
 */
export class SeamMerger {
  private readonly iou: number;
  private readonly ios: number;
  private pending: Candidate[] = [];

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly options: SeamOptions = {},
  ) {
    this.iou = options.iou ?? 0.5;
    this.ios = options.ios ?? 0.6;
  }

  /** @param detections in pixels of the picture (not of the tile) */
  add(tile: Tile, detections: readonly Detection[]): void {
    const edge = this.options.edge ?? Math.max(2, 0.02 * Math.max(tile.width, tile.height));
    for (const detection of detections) {
      const [x0, y0, x1, y1] = detection.box;
      const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
      const [coreX0, coreY0, coreX1, coreY1] = tile.core;
      this.pending.push({
        detection,
        tiles: [tile.index],
        cut: {
          left: tile.x > 0 && x0 <= tile.x + edge,
          top: tile.y > 0 && y0 <= tile.y + edge,
          right: tile.x + tile.width < this.width && x1 >= tile.x + tile.width - edge,
          bottom: tile.y + tile.height < this.height && y1 >= tile.y + tile.height - edge,
        },
        owned: cx >= coreX0 && cx < coreX1 && cy >= coreY0 && cy < coreY1,
      });
    }
  }

  /** Detections that lie above `row` with everything that they touch; all that is left when `row` is absent. */
  take(row = Number.POSITIVE_INFINITY): Detection[] {
    const ready: Candidate[] = [];
    const waiting: Candidate[] = [];
    for (const group of touchingGroups(this.pending)) {
      const done = group.every(({ detection }) => detection.box[3] <= row);
      (done ? ready : waiting).push(...(done ? this.resolve(group) : group));
    }
    this.pending = waiting;
    return ready
      .map((candidate) => candidate.detection)
      .sort((a, b) => b.score - a.score || a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  }

  private resolve(group: readonly Candidate[]): Candidate[] {
    const joined = this.joinPieces(group);
    const kept: Candidate[] = [];
    for (const candidate of [...joined].sort(byTrust)) {
      if (!kept.some((better) => this.isSame(better, candidate))) kept.push(candidate);
    }
    return kept;
  }

  /** Unites pieces across seams until none is left to unite. */
  private joinPieces(group: readonly Candidate[]): Candidate[] {
    const pieces = group.filter(isCut);
    const whole = group.filter((candidate) => !isCut(candidate));
    // A piece of an object that some tile saw whole must not be joined to anything else.
    const loose = pieces.filter((piece) => !whole.some((box) => this.isSame(box, piece)));
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 0; i < loose.length; i++) {
        for (let j = i + 1; j < loose.length; j++) {
          if (!continues(loose[i]!, loose[j]!)) continue;
          loose[i] = unite(loose[i]!, loose[j]!);
          loose.splice(j, 1);
          j = i; // the larger box may reach pieces that were passed before
          changed = true;
        }
      }
    }
    return [...whole, ...loose];
  }

  private isSame(better: Candidate, other: Candidate): boolean {
    if (better.detection.phrase !== other.detection.phrase || sharesTile(better, other)) return false;
    if (iouXyxy(better.detection.box, other.detection.box) > this.iou) return true;
    if (!isCut(other) || iosXyxy(better.detection.box, other.detection.box) <= this.ios) return false;
    // A part is not larger than its whole: a small object within a cut large one does not replace it.
    return areaXyxy(better.detection.box) >= PART_TOLERANCE * areaXyxy(other.detection.box);
  }
}

/** Whole before cut, of cut ones the larger, then owned before not, then by score; the place breaks ties so that order of arrival does not matter. */
function byTrust(a: Candidate, b: Candidate): number {
  const [p, q] = [a.detection, b.detection];
  return (
    Number(isCut(a)) - Number(isCut(b)) ||
    (isCut(a) ? areaXyxy(q.box) - areaXyxy(p.box) : 0) ||
    Number(b.owned) - Number(a.owned) ||
    q.score - p.score ||
    p.box[1] - q.box[1] ||
    p.box[0] - q.box[0]
  );
}

function isCut({ cut }: Candidate): boolean {
  return cut.left || cut.top || cut.right || cut.bottom;
}

function sharesTile(a: Candidate, b: Candidate): boolean {
  return a.tiles.some((tile) => b.tiles.includes(tile));
}

/**
 * Pieces whose cut sides face each other and whose other sides agree: one object across a seam. A side may lie further
 * in only where the tile's edge cut it.
 */
function continues(a: Candidate, b: Candidate): boolean {
  if (a.detection.phrase !== b.detection.phrase || sharesTile(a, b)) return false;
  const [p, q] = [a.detection.box, b.detection.box];
  if (intersectionXyxy(p, q) === 0) return false;
  const across = (a.cut.right && b.cut.left && p[0] < q[0]) || (b.cut.right && a.cut.left && q[0] < p[0]);
  const along = (a.cut.bottom && b.cut.top && p[1] < q[1]) || (b.cut.bottom && a.cut.top && q[1] < p[1]);
  const rowTolerance = SIDE_TOLERANCE * Math.min(p[3] - p[1], q[3] - q[1]);
  const columnTolerance = SIDE_TOLERANCE * Math.min(p[2] - p[0], q[2] - q[0]);
  const agree = (difference: number, inner: boolean, tolerance: number): boolean =>
    Math.abs(difference) <= tolerance || inner;
  const rowsAgree =
    agree(p[1] - q[1], p[1] > q[1] ? a.cut.top : b.cut.top, rowTolerance) &&
    agree(p[3] - q[3], p[3] < q[3] ? a.cut.bottom : b.cut.bottom, rowTolerance);
  const columnsAgree =
    agree(p[0] - q[0], p[0] > q[0] ? a.cut.left : b.cut.left, columnTolerance) &&
    agree(p[2] - q[2], p[2] < q[2] ? a.cut.right : b.cut.right, columnTolerance);
  return (across && rowsAgree) || (along && columnsAgree);
}

/** The box around both; a side stays cut when the piece that reaches farthest there is cut. */
function unite(a: Candidate, b: Candidate): Candidate {
  const [p, q] = [a.detection.box, b.detection.box];
  const box: BoxXyxy = [
    Math.min(p[0], q[0]),
    Math.min(p[1], q[1]),
    Math.max(p[2], q[2]),
    Math.max(p[3], q[3]),
  ];
  const better = a.detection.score >= b.detection.score ? a : b;
  return {
    detection: { ...better.detection, box },
    tiles: [...a.tiles, ...b.tiles],
    cut: {
      left: p[0] <= q[0] ? a.cut.left : b.cut.left,
      top: p[1] <= q[1] ? a.cut.top : b.cut.top,
      right: p[2] >= q[2] ? a.cut.right : b.cut.right,
      bottom: p[3] >= q[3] ? a.cut.bottom : b.cut.bottom,
    },
    owned: false,
  };
}

/** Candidates of one phrase that overlap, directly or through others. Sweeps from left to right. */
function touchingGroups(candidates: readonly Candidate[]): Candidate[][] {
  const order = [...candidates].sort((a, b) => a.detection.box[0] - b.detection.box[0]);
  const parent = order.map((_, i) => i);
  const root = (i: number): number => {
    let at = i;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!;
      at = parent[at]!;
    }
    return at;
  };
  let open: number[] = [];
  order.forEach(({ detection }, i) => {
    open = open.filter((k) => order[k]!.detection.box[2] > detection.box[0]);
    for (const k of open) {
      const other = order[k]!.detection;
      if (other.phrase === detection.phrase && intersectionXyxy(other.box, detection.box) > 0) {
        parent[root(k)] = root(i);
      }
    }
    open.push(i);
  });
  const groups = new Map<number, Candidate[]>();
  order.forEach((candidate, i) => {
    const key = root(i);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [candidate]);
    else group.push(candidate);
  });
  return [...groups.values()];
}
