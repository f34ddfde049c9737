// SPDX-License-Identifier: Apache-2.0
import { UserError } from '../errors.js';

/**
 * GPU code that the CUDA library is compiled to: `sm_XY` runs on cards of that architecture as it is, `compute_XY` is
 * translated by the driver for any newer card. Hopper, Blackwell for desktops, GB10, and what comes after them.
 */
export const CUDA_TARGETS: readonly string[] = ['sm_90', 'sm_120', 'sm_121', 'compute_90', 'compute_121'];

const PATTERN = /^(sm|compute)_(\d+)([af]?)$/;

/** nvcc's arguments for a target. */
export function targetArguments(target: string): string[] {
  const virtual = target.replace('sm_', 'compute_');
  return ['-gencode', `arch=${virtual},code=${target}`];
}

/** Targets as the environment's TFGEO_CUDA_TARGETS names them, or null if it does not. */
export function wantedTargets(setting: string | undefined = process.env.TFGEO_CUDA_TARGETS): string[] | null {
  const names = (setting ?? '').split(/[\s,]+/).filter((name) => name !== '');
  const wrong = names.find((name) => !PATTERN.test(name));
  if (wrong !== undefined) {
    throw new UserError(
      `TFGEO_CUDA_TARGETS: "${wrong}" is no target; write names like sm_90 or compute_90, separated by blanks`,
    );
  }
  return names.length > 0 ? names : null;
}

/** How a library serves a card: with code of its own, with code that the driver translates first, or not at all. */
export type Service = 'SASS' | 'PTX' | 'none';

/**
 * How a library with these targets serves a card.
 * @param capability the card's compute capability, "12.1" for sm_121
 */
export function serviceOf(targets: readonly string[], capability: string): Service {
  const [major = 0, minor = 0] = capability.split('.').map(Number);
  const card = major * 10 + minor;
  let service: Service = 'none';
  for (const target of targets) {
    const [, kind, digits, suffix] = PATTERN.exec(target) ?? [];
    const built = Number(digits);
    // Code for one card alone, or for its family.
    if (suffix && built !== card) continue;
    // Machine code serves cards of its generation that are not older.
    if (kind === 'sm' && Math.floor(built / 10) === major && built <= card) return 'SASS';
    if (kind === 'compute' && built <= card) service = 'PTX';
  }
  return service;
}

/** The name of a card's machine code, "sm_121" for "12.1". */
export function architectureOf(capability: string): string {
  return `sm_${capability.replace('.', '')}`;
}
