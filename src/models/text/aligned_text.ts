// SPDX-License-Identifier: Apache-2.0

/** A stretch of a text, in code points, and whether the pattern matched it. */
export interface Match {
  start: number;
  end: number;
  matched: boolean;
}

/** What happens to the matches of a pattern when a text is split by it. */
export type SplitBehavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

/**
 * One character of a rewritten text. `change` 0: it stands for the next old character; positive: it is new;
 * -n: it stands for the next old character and the n after it are gone.
 */
export type Rewrite = [char: string, change: number];

/**
 * A text being normalised, every character of which knows the stretch of the original text that it came from.
 * Positions are code points. Values are immutable.
 *
 * The rules of alignment (a new character takes the place of the one before it, a composed one that of its first part)
 * are those of Hugging Face's `tokenizers`, so that offsets come out the same.
 */
export class AlignedText {
  private joined: string | null = null;

  private constructor(
    /** Characters, one code point each. */
    readonly chars: readonly string[],
    /** Original position at which each character begins. */
    readonly starts: readonly number[],
    /** Original position at which each character ends. */
    readonly ends: readonly number[],
    /** Original position of the beginning of this piece. */
    readonly origin: number,
  ) {}

  static of(text: string): AlignedText {
    const chars = [...text];
    return new AlignedText(
      chars,
      chars.map((_, i) => i),
      chars.map((_, i) => i + 1),
      0,
    );
  }

  get length(): number {
    return this.chars.length;
  }

  get text(): string {
    this.joined ??= this.chars.join('');
    return this.joined;
  }

  slice(start: number, end: number): AlignedText {
    if (start === 0 && end === this.length) return this;
    const starts = this.starts.slice(start, end);
    return new AlignedText(
      this.chars.slice(start, end),
      starts,
      this.ends.slice(start, end),
      starts[0] ?? this.origin,
    );
  }

  /** Original stretch of the characters `start` to `end`. */
  original(start: number, end: number): [number, number] {
    if (start >= end) return [this.origin + start, this.origin + start];
    return [this.starts[start]!, this.ends[end - 1]!];
  }

  /** This text rewritten; together the rewrites must account for every old character. */
  rewrite(rewrites: readonly Rewrite[]): AlignedText {
    const chars: string[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    let old = 0;
    for (const [char, change] of rewrites) {
      const from = change > 0 ? old - 1 : old;
      chars.push(char);
      starts.push(from < 0 ? this.origin : this.starts[from]!);
      ends.push(from < 0 ? this.origin : this.ends[from]!);
      if (change <= 0) old += 1 - change;
    }
    return new AlignedText(chars, starts, ends, this.origin);
  }

  /** Every character put through `f`. */
  map(f: (char: string) => string): AlignedText {
    return new AlignedText(this.chars.map(f), this.starts, this.ends, this.origin);
  }

  /** The characters that `keep` accepts. */
  filter(keep: (char: string, index: number) => boolean): AlignedText {
    const kept = this.chars.map((_, i) => i).filter((i) => keep(this.chars[i]!, i));
    return new AlignedText(
      kept.map((i) => this.chars[i]!),
      kept.map((i) => this.starts[i]!),
      kept.map((i) => this.ends[i]!),
      this.origin,
    );
  }

  /** `content` before the text, standing for its first character. An empty text stays empty. */
  prepend(content: string): AlignedText {
    if (this.length === 0) return this;
    const [first, ...rest] = this.chars;
    const added = [...content, first!].map((char, i): Rewrite => [char, i === 0 ? 0 : 1]);
    return this.rewrite([...added, ...rest.map((char): Rewrite => [char, 0])]);
  }

  /** Every match of `pattern` replaced by `content`, which stands for the last character replaced. */
  replace(pattern: RegExp, content: string): AlignedText {
    const chars: string[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    for (const { start, end, matched } of this.matches(pattern)) {
      if (matched) {
        for (const char of content) {
          chars.push(char);
          starts.push(end < 1 ? this.origin : this.starts[end - 1]!);
          ends.push(end < 1 ? this.origin : this.ends[end - 1]!);
        }
      } else {
        for (let i = start; i < end; i++) {
          chars.push(this.chars[i]!);
          starts.push(this.starts[i]!);
          ends.push(this.ends[i]!);
        }
      }
    }
    return new AlignedText(chars, starts, ends, this.origin);
  }

  /** The whole text as matches of `pattern` (a global regular expression) and what lies between them. */
  matches(pattern: RegExp): Match[] {
    const at = this.codePointIndex();
    const result: Match[] = [];
    if (this.length === 0) return result;
    let previous = 0;
    for (const found of this.text.matchAll(pattern)) {
      const start = at(found.index);
      const end = at(found.index + found[0].length);
      if (previous !== start) result.push({ start: previous, end: start, matched: false });
      result.push({ start, end, matched: true });
      previous = end;
    }
    if (previous !== this.length) result.push({ start: previous, end: this.length, matched: false });
    return result;
  }

  /** Pieces between and around the matches of `pattern`; empty ones are left out. */
  split(pattern: RegExp, behavior: SplitBehavior, invert = false): AlignedText[] {
    const matches = this.matches(pattern);
    if (invert) for (const match of matches) match.matched = !match.matched;
    return arrange(matches, behavior)
      .filter(({ start, end }) => end > start)
      .map(({ start, end }) => this.slice(start, end));
  }

  /** UTF-16 position to code point position. */
  private codePointIndex(): (unit: number) => number {
    if (this.text.length === this.length) return (unit) => unit;
    const table = new Int32Array(this.text.length + 1);
    let unit = 0;
    this.chars.forEach((char, i) => {
      table.fill(i, unit, unit + char.length);
      unit += char.length;
    });
    table[unit] = this.length;
    return (at) => table[at]!;
  }
}

/** Applies a split behaviour to the matches of a pattern. */
function arrange(matches: Match[], behavior: SplitBehavior): Match[] {
  switch (behavior) {
    case 'Isolated':
      return matches;
    case 'Removed':
      return matches.filter(({ matched }) => !matched);
    case 'Contiguous':
      return merge(matches, (match, previous) => match.matched === previous);
    case 'MergedWithPrevious':
      return merge(matches, (match, previous) => match.matched && !previous);
    case 'MergedWithNext': {
      const flipped = matches.map(({ start, end, matched }) => ({ start: -end, end: -start, matched }));
      const merged = merge(flipped.reverse(), (match, previous) => match.matched && !previous);
      return merged.reverse().map(({ start, end, matched }) => ({ start: -end, end: -start, matched }));
    }
  }
}

/** Joins a match to the one before it where `joins` says so; `previous` is the flag of the one before. */
function merge(matches: Match[], joins: (match: Match, previous: boolean) => boolean): Match[] {
  const result: Match[] = [];
  let previous = false;
  for (const match of matches) {
    const last = result.at(-1);
    if (last && joins(match, previous)) last.end = match.end;
    else result.push({ ...match });
    previous = match.matched;
  }
  return result;
}
