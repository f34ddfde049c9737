// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';
import type { Table } from '../module.js';
import type { Arrangement } from './arrangement.js';
import type { StoredTensor } from './safetensors.js';

/** Where a parameter lies in a file: a tensor, or rows of one that several parameters share in equal parts. */
export interface PlaceInFile {
  name: string;
  /** Part `index` of `count`, along the first axis. */
  part?: { index: number; count: number };
  /** The file has the values in another order or shape; never together with `part`. */
  arrangement?: Arrangement;
}

/**
 * How checkpoints of one origin name the parameters of a model. One direction is written down, from the module's names
 * to the file's; the other follows from the names that a module has.
 */
export interface NameMap {
  /** In words: `original`, `Hugging Face`, `torchvision`. */
  readonly origin: string;
  /** A file with such a name is of this origin. */
  readonly hallmark: RegExp;
  /** Where the file holds a parameter. A parameter of several names has a place for each. */
  place(own: string): PlaceInFile;
  /** Names in such files that the module has no use for, and why. */
  readonly dropped: readonly Dropped[];
  /** Tensors that the reference wants to find in a file though nothing here uses them or tells their values. */
  unused?(shapeOf: ShapeOf): ReadonlyMap<string, StoredTensor>;
  /**
   * What the reference keeps of a module's table (`Module.namedTables`), null if nothing; it lies at the table's `place`.
   * Without this, none is kept.
   */
  keeps?(own: string, table: Table): Table | null;
  /** Of a backbone: what stands in front of its names in checkpoints of Deformable DETR, if not `backbone.0.body.`. */
  readonly inDetr?: string;
}

export interface Dropped {
  readonly names: RegExp;
  readonly why: string;
}

/** Files that are named as the module is. */
export const SAME_NAMES: NameMap = {
  origin: 'tfgeo',
  hallmark: /^/,
  place: (name) => ({ name }),
  dropped: [],
};

/** Of a {@link NameMap}: every table is kept as it is. */
export function keepsAll(_own: string, table: Table): Table {
  return table;
}

/** A change of names: what fits the expression is replaced. The first that fits counts. */
export type NameRule = readonly [own: RegExp, inFile: string];

/** The name that the first fitting rule gives; the name itself if none fits. */
export function applyRules(rules: readonly NameRule[], name: string): string {
  const rule = rules.find(([own]) => own.test(name));
  return rule ? name.replace(rule[0], rule[1]) : name;
}

/** Parts of a packed projection, in the order of their rows. */
const PACKED = ['q', 'k', 'v'] as const;

/**
 * The place of a parameter of a query, key or value that files pack in one tensor.
 * @param letter `q`, `query`, `key`, ...
 */
export function packedPlace(name: string, letter: string): PlaceInFile {
  return { name, part: { index: PACKED.indexOf(letter[0] as 'q'), count: PACKED.length } };
}

/**
 * A map of a part of a model: its names stand behind `own` in the module and behind `inFile` in the file.
 * @param beside what else such files hold
 */
export function nestNames(
  map: NameMap,
  own: string,
  inFile: string,
  beside: readonly Dropped[] = [],
): NameMap {
  const quoted = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const behind = ({ source, flags }: RegExp) => {
    const anchored = source.startsWith('^');
    return new RegExp(`^${quoted(inFile)}${anchored ? `(?:${source.slice(1)})` : `.*(?:${source})`}`, flags);
  };
  return {
    origin: map.origin,
    hallmark: behind(map.hallmark),
    place: (name) => {
      const place = map.place(name.slice(own.length));
      return { ...place, name: inFile + place.name };
    },
    dropped: [...map.dropped.map(({ names, why }) => ({ names: behind(names), why })), ...beside],
    unused: (shapeOf) => {
      const inside =
        map.unused?.(shapeLookup((name) => shapeOf(own + name))) ?? new Map<string, StoredTensor>();
      return new Map([...inside].map(([name, tensor]) => [inFile + name, tensor]));
    },
    keeps: (name, table) => map.keeps?.(name.slice(own.length), table) ?? null,
  };
}

/** A part of a model with a map of its own, already behind its prefixes; `own`: what its names begin with in the module. */
export interface NamedPart {
  own: string;
  map: NameMap;
}

/**
 * A map of a model whose parts have maps of their own. The first part tells the origin.
 * @param rest everything else
 */
export function joinNames(
  rest: Omit<NameMap, 'hallmark'>,
  parts: readonly [NamedPart, ...NamedPart[]],
): NameMap {
  const mapOf = (own: string) => parts.find((part) => own.startsWith(part.own))?.map ?? rest;
  return {
    ...rest,
    hallmark: parts[0].map.hallmark,
    place: (own) => mapOf(own).place(own),
    keeps: (own, table) => mapOf(own).keeps?.(own, table) ?? null,
    dropped: [...rest.dropped, ...parts.flatMap(({ map }) => map.dropped)],
    ...(parts[0].map.unused ? { unused: parts[0].map.unused } : {}),
  };
}

/**
 * The map of the origin that names tell, null if none fits. Where all stands behind a prefix (`swin.`,
 * `backbone.backbone.`), so do the map's names; what it drops may also stand without.
 */
export function chooseNames(maps: readonly NameMap[], names: Iterable<string>): NameMap | null {
  const all = [...names];
  const plain = maps.find(({ hallmark }) => all.some((name) => hallmark.test(name)));
  if (plain) return plain;
  for (const map of maps) {
    for (const name of all) {
      for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
        if (!map.hallmark.test(name.slice(dot + 1))) continue;
        return nestNames(map, '', name.slice(0, dot + 1), map.dropped);
      }
    }
  }
  return null;
}

/** Shapes of parameters by the module's names. */
export interface ShapeOf {
  /** Null where there is no such parameter. */
  (own: string): readonly number[] | null;
  /** @throws UserError naming the tensor of the file if there is none */
  need(own: string): readonly number[];
}

/** Shapes by a function that looks them up; `inFile` is what messages call a parameter. */
export function shapeLookup(
  find: (own: string) => readonly number[] | null,
  inFile: (own: string) => string = (own) => own,
): ShapeOf {
  const need = (own: string) => {
    const shape = find(own);
    if (shape) return shape;
    throw new UserError(
      `tensor ${inFile(own)} is missing; get or write the file again`,
      EXIT_CODES.checkpoint,
    );
  };
  return Object.assign((own: string) => find(own), { need });
}

/** Shapes of a file by the module's names. */
export function shapesBy(map: NameMap, shapes: ReadonlyMap<string, readonly number[]>): ShapeOf {
  const find = (own: string) => {
    const { name, part } = map.place(own);
    const shape = shapes.get(name);
    if (!shape) return null;
    return part ? [shape[0]! / part.count, ...shape.slice(1)] : shape;
  };
  return shapeLookup(find, (own) => map.place(own).name);
}

/** How many parts are numbered from 0 on. @param name of a parameter of part `i` */
export function countParts(shapeOf: ShapeOf, name: (i: number) => string): number {
  let count = 0;
  while (shapeOf(name(count)) !== null) count++;
  return count;
}
