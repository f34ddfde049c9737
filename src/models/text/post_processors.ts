// SPDX-License-Identifier: Apache-2.0
import { SPACE_CHAR } from './byte_level.js';
import { specialToken, type Token } from './encoding.js';
import type { JsonNode } from './json_node.js';

/** Puts a text and its pair together with the special tokens around them. */
export interface PostProcessor {
  /** How many special tokens are added. */
  added(hasPair: boolean): number;
  /** @param sequences one or two lists of tokens @returns lists whose concatenation is the result */
  process(sequences: Token[][], addSpecialTokens: boolean): Token[][];
}

/** What is done where a file has no post-processor. */
export const JOIN: PostProcessor = { added: () => 0, process: (sequences) => sequences };

/** Post-processors by their `type` in `tokenizer.json`. */
const POST_PROCESSORS: Readonly<Record<string, (node: JsonNode) => PostProcessor>> = {
  RobertaProcessing: roberta,
  BertProcessing: bert,
  TemplateProcessing: template,
  ByteLevel: (node) => {
    const trims = node.field('trim_offsets').boolean(true);
    const prefix = node.field('add_prefix_space').boolean(true);
    return {
      added: () => 0,
      process: (sequences) => (trims ? sequences.map((tokens) => trimOffsets(tokens, prefix)) : sequences),
    };
  },
  Sequence: (node) => {
    const all = node.field('processors').items().map(readPostProcessor);
    return {
      added: (hasPair) => all.reduce((sum, processor) => sum + processor.added(hasPair), 0),
      process: (sequences, add) => all.reduce((lists, processor) => processor.process(lists, add), sequences),
    };
  },
};

/** @throws UserError for a type that is not in the table above. */
export function readPostProcessor(node: JsonNode): PostProcessor {
  return node.choose(POST_PROCESSORS, 'post-processor')(node);
}

/**
 * Tokens without the spaces at their ends. With a prefix space the first token keeps a single one: as a rule it was not in the text.
 */
function trimOffsets(tokens: readonly Token[], addPrefixSpace: boolean): Token[] {
  const isSpace = (char: string) => char === SPACE_CHAR || /\p{White_Space}/u.test(char);
  return tokens.map((token, i) => {
    const solid = [...token.value].map((char) => !isSpace(char));
    let leading = solid.indexOf(true);
    let trailing = leading < 0 ? solid.length : solid.length - 1 - solid.lastIndexOf(true);
    if (leading < 0) leading = solid.length;
    let { begin, end } = token;
    if (leading > 0) {
      if ((i === 0 || begin === 0) && addPrefixSpace && leading === 1) leading = 0;
      begin = Math.min(begin + leading, end);
    }
    if (trailing > end) trailing = 0;
    end = Math.max(end - trailing, begin);
    return { ...token, begin, end };
  });
}

/** `<s> A </s>`, `<s> A </s></s> B </s>`; all type ids 0. */
function roberta(node: JsonNode): PostProcessor {
  const cls = readPair(node.field('cls'));
  const sep = readPair(node.field('sep'));
  const trims = node.field('trim_offsets').boolean(true);
  const prefix = node.field('add_prefix_space').boolean(true);
  return {
    added: (hasPair) => (hasPair ? 4 : 2),
    process(sequences, addSpecialTokens) {
      const lists = sequences.map((tokens) =>
        (trims ? trimOffsets(tokens, prefix) : tokens).map((token) => ({ ...token, typeId: 0 })),
      );
      if (!addSpecialTokens) return lists;
      return lists.map((tokens, i) => [(i === 0 ? cls : sep)(0), ...tokens, sep(0)]);
    },
  };
}

/** `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`. */
function bert(node: JsonNode): PostProcessor {
  const cls = readPair(node.field('cls'));
  const sep = readPair(node.field('sep'));
  return {
    added: (hasPair) => (hasPair ? 3 : 2),
    process(sequences, addSpecialTokens) {
      if (!addSpecialTokens) return sequences;
      return sequences.map((tokens, i) => (i === 0 ? [cls(0), ...tokens, sep(0)] : [...tokens, sep(1)]));
    },
  };
}

/** A special token written `["</s>", 2]`. */
function readPair(node: JsonNode): (typeId: number) => Token {
  const [content, id] = node.items();
  if (!content || !id) return node.fail('expected a token and its id');
  const [value, number] = [content.string(), id.count()];
  return (typeId) => specialToken(number, value, typeId);
}

/** A place in a template: a sequence (0 or 1), or special tokens. */
type TemplatePiece = { sequence: 0 | 1; typeId: number } | { special: Token[] };

/** Any order of the sequences and special tokens, written out in the file. */
function template(node: JsonNode): PostProcessor {
  const specials = readSpecials(node.field('special_tokens'));
  const read = (name: string) =>
    node
      .field(name)
      .items()
      .map((piece) => readPiece(piece, specials));
  const templates = [read('single'), read('pair')] as const;
  return {
    added: (hasPair) =>
      templates[hasPair ? 1 : 0].reduce(
        (sum, piece) => sum + ('special' in piece ? piece.special.length : 0),
        0,
      ),
    process: (sequences, addSpecialTokens) =>
      templates[sequences.length > 1 ? 1 : 0].map((piece) => {
        if ('special' in piece) return addSpecialTokens ? piece.special : [];
        return (sequences[piece.sequence] ?? []).map((token) => ({ ...token, typeId: piece.typeId }));
      }),
  };
}

function readSpecials(node: JsonNode): Map<string, Token[]> {
  const specials = new Map<string, Token[]>();
  for (const name of Object.keys(node.object())) {
    const special = node.field(name);
    const ids = special.field('ids').items();
    const tokens = special.field('tokens').items();
    if (ids.length !== tokens.length) special.fail('expected as many tokens as ids');
    specials.set(
      name,
      ids.map((id, i) => specialToken(id.count(), tokens[i]!.string())),
    );
  }
  return specials;
}

function readPiece(node: JsonNode, specials: ReadonlyMap<string, Token[]>): TemplatePiece {
  const sequence = node.optional('Sequence');
  if (sequence) {
    const id = sequence.field('id').string();
    if (id !== 'A' && id !== 'B') sequence.field('id').fail(`expected 'A' or 'B' but found '${id}'`);
    return { sequence: id === 'A' ? 0 : 1, typeId: sequence.optional('type_id')?.count() ?? 0 };
  }
  const special = node.field('SpecialToken');
  const id = special.field('id').string();
  const tokens = specials.get(id);
  if (!tokens) return special.field('id').fail(`'${id}' is not among the special_tokens`);
  const typeId = special.optional('type_id')?.count() ?? 0;
  return { special: tokens.map((token) => ({ ...token, typeId })) };
}
