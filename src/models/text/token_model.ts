// SPDX-License-Identifier: Apache-2.0

/** A token of one word; `start` and `end` count characters of the normalised word. */
export interface WordToken {
  id: number;
  value: string;
  start: number;
  end: number;
}

/** Turns words into tokens. */
export interface TokenModel {
  /** Token to id. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** @param word a non-empty normalised word */
  tokenize(word: string): WordToken[];
}
