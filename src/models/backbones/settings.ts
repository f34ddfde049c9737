// SPDX-License-Identifier: Apache-2.0
import { didYouMean, EXIT_CODES, UserError } from '../../errors.js';

/** Refuses settings. @throws UserError that begins with `source` */
export function refuse(source: string, what: string): never {
  throw new UserError(`${source}: ${what}`, EXIT_CODES.usage);
}

/** How the settings of a family are checked. */
interface Rules<T> {
  defaults: T;
  /** Keys with a whole number above 0. */
  counts: readonly (keyof T & string)[];
  /** Keys that others write into their files and that mean nothing here. */
  ignored?: (key: string) => boolean;
}

/**
 * Settings with what they leave out taken from the defaults.
 * @param source what messages call the settings
 * @throws UserError for unknown keys and impossible values
 */
export function checkSettings<T extends { drop_path_rate?: number }>(
  { defaults, counts, ignored }: Rules<T>,
  settings: Readonly<Record<string, unknown>>,
  source: string,
): T {
  const config = fillIn(defaults, settings, source, ignored);
  checkCounts(config, counts, source);
  if (config.drop_path_rate !== undefined) checkDropPath(config.drop_path_rate, source);
  return config;
}

/** Settings of a network in stages. */
interface Staged {
  /** Channels of the pictures. */
  num_channels: number;
  /** Stages whose maps a backbone gives. */
  out_features: string[];
  /** Largest probability of dropping a branch. */
  drop_path_rate?: number;
}

interface StagedRules<T> extends Rules<T> {
  /** Keys with a whole number for each stage, at least one key. */
  perStage: readonly (keyof T & string)[];
}

/** As {@link checkSettings}, for a network in stages: the maps of stages 2 and up if none are named. */
export function stagedSettings<T extends Staged>(
  { perStage, counts, ...rules }: StagedRules<T>,
  settings: Readonly<Record<string, unknown>>,
  source: string,
): T {
  const config = checkSettings({ ...rules, counts: ['num_channels', ...counts] }, settings, source);
  checkStageLists(config, perStage, source);
  chooseStages(config, (config[perStage[0]!] as unknown[]).length, source);
  return config;
}

/** Fills in the maps of stages 2 and up if none are named, and checks them. @param stages how many there are */
export function chooseStages(config: Pick<Staged, 'out_features'>, stages: number, source: string): void {
  if (config.out_features.length === 0) config.out_features = stageNames(stages).slice(1);
  checkOutFeatures(config.out_features, stages, source);
}

/** Settings with what they leave out taken from `defaults`. @throws UserError for keys that are in neither */
function fillIn<T extends object>(
  defaults: T,
  settings: Readonly<Record<string, unknown>>,
  source: string,
  ignored: (key: string) => boolean = () => false,
): T {
  const known = Object.keys(defaults);
  for (const key of Object.keys(settings)) {
    if (known.includes(key) || ignored(key)) continue;
    const near = didYouMean(key, known);
    refuse(source, `unknown key ${key}${near ? ` (did you mean ${near}?)` : ''}`);
  }
  const given = Object.entries(settings).filter(([key]) => known.includes(key));
  return { ...defaults, ...Object.fromEntries(given) };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every(isCount);
}

/** Refuses values of these keys that are not whole numbers above 0. */
function checkCounts<T extends object>(config: T, keys: readonly (keyof T & string)[], source: string): void {
  for (const key of keys) {
    if (!isCount(config[key])) refuse(source, `${key} must be a positive whole number`);
  }
}

/** Refuses values of these keys that are not lists of whole numbers above 0, all as long as the first. */
export function checkStageLists<T extends object>(
  config: T,
  keys: readonly (keyof T & string)[],
  source: string,
): void {
  const lists = keys.map((key) => config[key] as unknown);
  const length = (lists[0] as number[] | undefined)?.length;
  if (lists.every(isCounts) && lists.every((list) => list.length === length)) return;
  const names = keys.length === 1 ? keys[0] : `${keys.slice(0, -1).join(', ')} and ${keys.at(-1)}`;
  const what = keys.length === 1 ? 'a list' : 'lists';
  refuse(
    source,
    `${names} must be ${what} of positive whole numbers${keys.length === 1 ? '' : ', of one length'}`,
  );
}

/** Refuses wanted stages that are not some of `stage1`, `stage2`, ... in this order. */
function checkOutFeatures(wanted: unknown, stages: number, source: string): void {
  const names = stageNames(stages);
  const chosen = Array.isArray(wanted) ? names.filter((name) => wanted.includes(name)) : [];
  const right = Array.isArray(wanted) && wanted.length > 0 && wanted.join() === chosen.join();
  if (!right) refuse(source, `out_features must be some of ${names.join(', ')}, in this order`);
}

/** `stage1`, `stage2`, ... */
function stageNames(stages: number): string[] {
  return Array.from({ length: stages }, (_, i) => `stage${i + 1}`);
}

/** Places of the wanted stages, from 0. */
export function wantedStages(outFeatures: readonly string[]): number[] {
  return outFeatures.map((name) => Number(name.slice('stage'.length)) - 1);
}

/** Refuses a probability that could drop everything. */
function checkDropPath(rate: unknown, source: string): void {
  if (typeof rate !== 'number' || !(rate >= 0 && rate < 1))
    refuse(source, 'drop_path_rate must lie in [0, 1)');
}

/** Drop path rates that grow linearly with depth from 0 to `largest`, stage by stage. */
export function growingRates(depths: readonly number[], largest: number): number[][] {
  const blocks = depths.reduce((sum, depth) => sum + depth, 0);
  let block = 0;
  return depths.map((depth) =>
    Array.from({ length: depth }, () => (largest * block++) / Math.max(1, blocks - 1)),
  );
}
