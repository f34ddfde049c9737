// SPDX-License-Identifier: Apache-2.0
// The files of Flickr30k Entities (Plummer et al. 2015): sentences with marked phrases, and boxes by the phrases' ids.
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { EXIT_CODES, UserError } from '../../errors.js';
import type { BoxXyxy } from '../../models/types.js';

/** A marked phrase of a sentence. */
export interface EntityPhrase {
  phrase: string;
  /** Number of words of the sentence before it. */
  firstWordIndex: number;
  /** Entity it names; the same in all sentences of a picture. */
  id: string;
  /** Categories: people, vehicles, other ... */
  types: string[];
}

/** `[/EN#id/type/type words]`, or a word. */
const PARTS = /\[\/EN#([^/\s\]]+)((?:\/[^/\s\]]+)*)\s+([^\]]*)\]|\S+/g;

/**
 * Reads the sentences of one picture, a line each.
 * @param source names the file in messages
 * @throws UserError naming the line with a phrase that is not closed or has no id
 */
export function parseEntitySentences(text: string, source: string): EntityPhrase[][] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .map((line, i) => phrasesOf(line, `${source}, sentence ${i + 1}`));
}

function phrasesOf(line: string, where: string): EntityPhrase[] {
  const found: EntityPhrase[] = [];
  let words = 0;
  for (const [part, id, types, inner] of line.matchAll(PARTS)) {
    if (id === undefined) {
      if (/[[\]]/.test(part)) {
        throw new UserError(
          `${where}: '${part}' is no whole phrase; expected [/EN#id/type words]`,
          EXIT_CODES.data,
        );
      }
      words += 1;
      continue;
    }
    const own = inner!.split(/\s+/).filter((word) => word !== '');
    found.push({
      phrase: own.join(' '),
      firstWordIndex: words,
      id,
      types: types!.split('/').filter((type) => type !== ''),
    });
    words += own.length;
  }
  return found;
}

interface EntityObject {
  name?: unknown;
  bndbox?: Readonly<Record<string, unknown>>;
}

/**
 * Reads the boxes of one picture, by entity. Entities without boxes (`nobndbox`, scenes) are left out.
 * @param source names the file in messages
 * @returns `[x0, y0, x1, y1]`, pixels as the file has them, which MDETR's evaluation takes as they are (the data set's own
 * reader takes 1 off)
 * @throws UserError where the text is not an annotation, or a box has no numbers
 */
export function parseEntityBoxes(xml: string, source: string): Map<string, BoxXyxy[]> {
  if (XMLValidator.validate(xml) !== true)
    throw new UserError(`${source}: not XML; the file is damaged`, EXIT_CODES.data);
  const parser = new XMLParser({
    parseTagValue: false,
    isArray: (tag) => tag === 'object' || tag === 'name',
  });
  const root = (parser.parse(xml) as { annotation?: { object?: EntityObject[] } }).annotation;
  if (root === undefined) {
    throw new UserError(
      `${source}: expected <annotation> outermost, as in Flickr30k Entities`,
      EXIT_CODES.data,
    );
  }
  const boxes = new Map<string, BoxXyxy[]>();
  for (const [i, { name, bndbox }] of (root.object ?? []).entries()) {
    if (bndbox === undefined) continue;
    const box = (['xmin', 'ymin', 'xmax', 'ymax'] as const).map((key) => Number(bndbox[key]));
    if (!box.every(Number.isFinite)) {
      throw new UserError(`${source}: object ${i + 1} has a box without numbers`, EXIT_CODES.data);
    }
    for (const id of name as string[]) boxes.set(id, [...(boxes.get(id) ?? []), box as unknown as BoxXyxy]);
  }
  return boxes;
}
