// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { benchOptions } from '../../bench/options.js';
import { markdownTable, withMeasured } from '../../bench/results.js';
import { UserError } from '../../src/errors.js';

describe('options of the benches', () => {
  it('are names and flags in any order', () => {
    expect(benchOptions(['--no-peer', 'model', '--rounds', '3', '--only', 'tiny'])).toEqual({
      names: ['model'],
      peer: false,
      anyway: false,
      threads: 2,
      rounds: 3,
      only: 'tiny',
    });
  });

  it('refuse what they do not know, and counts that are none', () => {
    expect(() => benchOptions(['--fast'])).toThrow(UserError);
    for (const text of ['0', '-1', '1.5', 'many'])
      expect(() => benchOptions([`--rounds=${text}`])).toThrow(/whole number/);
  });
});

describe('measured parts of a document', () => {
  const text = 'a\n<!-- measured: one -->\nold\n<!-- end -->\n<!-- measured: two -->\n<!-- end -->\nb\n';

  it('are replaced, and nothing else is', () => {
    const once = withMeasured(text, 'one', 'new $& row');
    expect(once).toBe(text.replace('old', () => 'new $& row'));
    expect(withMeasured(once, 'one', 'old')).toBe(text);
    expect(withMeasured(text, 'two', 'x')).toContain('<!-- measured: two -->\nx\n<!-- end -->');
  });

  it('must be there', () => {
    expect(() => withMeasured(text, 'three', 'x')).toThrow('measured: three');
  });

  it('are tables whose numbers stand to the right', () => {
    const rows = [
      ['x', '1.5 (1.2)', '-'],
      ['y', '20', '3'],
    ];
    expect(markdownTable(['case', 'ms', 'ratio'], rows)).toBe(
      '| case | ms | ratio |\n|---|--:|--:|\n| x | 1.5 (1.2) | - |\n| y | 20 | 3 |',
    );
  });
});
