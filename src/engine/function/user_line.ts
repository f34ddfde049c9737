// SPDX-License-Identifier: Apache-2.0

/** A call in a program's own code. */
export interface CallSite {
  /** What was called: `dataSync`, `gather`, ... */
  call: string;
  /** `file:line:column` of the caller. */
  line: string;
}

interface Frame {
  name: string;
  place: string;
}

/** Code between the program and the engine. */
const NOT_USER =
  /node_modules\/(@tensorflow|tslib)\/|\/tfjs-[a-z]+\/src\/|\/vendor\/|\/src\/engine\/|^node:|^native$|<anonymous>/;

/** Frames without a name of their own, and the ones compilers put between. */
const HELPER = /^$|<anonymous>|^new Promise|__awaiter|__generator|\bstep$|\bfulfilled$/;

/** The innermost call from a program's own code into TensorFlow.js or the engine, from an error's stack; null if there is none. */
export function callSite(stack: string | undefined): CallSite | null {
  const frames = (stack ?? '').split('\n').flatMap((line) => parseFrame(line));
  const at = frames.findIndex(({ place }) => !NOT_USER.test(place));
  const user = frames[at];
  if (user === undefined) return null;
  const inner = frames.slice(0, at).reverse();
  const called = inner.find(({ name }) => !HELPER.test(name))?.name ?? user.name;
  // Ops of TensorFlow.js are named `gather_` inside and `gather__op` outside.
  const call = called
    .replace(/^(new|async) /, '')
    .replace(/^.*\./, '')
    .replace(/_+(op)?$/, '');
  return { call, line: user.place };
}

function parseFrame(line: string): Frame[] {
  const found = /^\s*at (?:(.*?) \()?(.*?)\)?$/.exec(line);
  if (!found) return [];
  const place = found[2]!.replace(/^file:\/\//, '');
  return [{ name: (found[1] ?? '').replace(/ \[as .*\]$/, ''), place }];
}
