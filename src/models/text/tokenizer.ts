// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { EXIT_CODES, UserError } from '../../errors.js';
import { type AddedToken, readAddedTokens, TokenFinder } from './added_tokens.js';
import { AlignedText } from './aligned_text.js';
import { BpeModel } from './bpe.js';
import { type Decoder, JOIN_BY_SPACES, readDecoder } from './decoders.js';
import { type Encoding, type Padding, pad, type Token, toEncoding, truncatedLengths } from './encoding.js';
import { JsonNode } from './json_node.js';
import { type Normalizer, normaliseString, readNormalizer } from './normalizers.js';
import { JOIN, type PostProcessor, readPostProcessor } from './post_processors.js';
import { type PreTokenizer, readPreTokenizer } from './pre_tokenizers.js';
import type { TokenModel } from './token_model.js';
import { WordPieceModel } from './wordpiece.js';

export interface EncodeOptions {
  /** Second text, as models of sentence pairs want it. */
  pair?: string;
  /** Default true. */
  addSpecialTokens?: boolean;
  /** Most tokens of the result, special ones included; the rest is left out and reported in `overflow`. */
  maxLength?: number;
}

export interface BatchOptions {
  addSpecialTokens?: boolean;
  maxLength?: number;
  /** Whether texts are cut to `maxLength` (default: true where `maxLength` is given). */
  truncation?: boolean;
  /** `longest` of the batch, `max` (= `maxLength`), a number of tokens, or false (the default). */
  padding?: 'longest' | 'max' | number | false;
}

/** Token models by their `type` in `tokenizer.json`. */
const MODELS: Readonly<Record<string, (node: JsonNode) => TokenModel>> = {
  BPE: BpeModel.read,
  WordPiece: WordPieceModel.read,
};

/** Names under which a padding token goes, where the file does not say which it is. */
const PAD_TOKENS = ['<pad>', '[PAD]', '<|padding|>', '<|endoftext|>'];

/**
 * A tokenizer from a Hugging Face `tokenizer.json`: byte pair encoding (RoBERTa, GPT-2, CLIP) and WordPiece (BERT,
 * MiniLM). Ids, words and character offsets equal those of the Rust library `tokenizers`.
 *
 * The truncation and padding that a file may ask for are not applied: what is cut is the caller's decision.
 */
export class Tokenizer {
  private readonly normalizer: Normalizer | null;
  private readonly preTokenizer: PreTokenizer | null;
  private readonly postProcessor: PostProcessor;
  private readonly model: TokenModel;
  private readonly finders: { raw: TokenFinder; normalized: TokenFinder };
  private readonly addedById: Map<number, AddedToken>;
  private readonly idsOfAdded: Map<string, number>;
  private readonly tokensById: Map<number, string>;
  private readonly cutsLeft: boolean;
  private decoder: Decoder | null = null;

  private constructor(
    private readonly root: JsonNode,
    /** Where it came from, for messages. */
    readonly source: string,
  ) {
    this.normalizer = read(root.optional('normalizer'), readNormalizer);
    this.preTokenizer = read(root.optional('pre_tokenizer'), readPreTokenizer);
    this.postProcessor = read(root.optional('post_processor'), readPostProcessor) ?? JOIN;
    const model = root.field('model');
    this.model = modelReader(model)(model);
    const added =
      read(root.optional('added_tokens'), (node) => readAddedTokens(node, this.model.vocabulary)) ?? [];
    this.finders = {
      raw: new TokenFinder(
        added.filter((token) => !token.normalized),
        null,
      ),
      normalized: new TokenFinder(
        added.filter((token) => token.normalized),
        this.normalizer,
      ),
    };
    const known = (token: AddedToken) =>
      token.normalized ? normaliseString(token.content, this.normalizer) : token.content;
    this.addedById = new Map(added.map((token) => [token.id, { ...token, content: known(token) }]));
    this.idsOfAdded = new Map(added.map((token) => [token.content, token.id]));
    this.tokensById = new Map([...this.model.vocabulary].map(([token, id]) => [id, token]));
    this.cutsLeft = root.optional('truncation')?.optional('direction')?.string() === 'Left';
  }

  /** @throws UserError if the file is missing, is no JSON, or is no tokenizer of a known kind. */
  static async fromFile(path: string): Promise<Tokenizer> {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      const reason =
        (error as { code?: unknown }).code === 'ENOENT' ? 'there is no such file' : 'it cannot be read';
      throw new UserError(`tokenizer ${path}: ${reason}`, EXIT_CODES.data, { cause: error });
    }
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      const what =
        text.trim() === '' ? 'the file is empty' : 'it is not JSON (cut off, or another kind of file)';
      const remedy = 'a Hugging Face tokenizer.json is wanted';
      throw new UserError(`tokenizer ${path}: ${what}; ${remedy}`, EXIT_CODES.data, { cause: error });
    }
    return Tokenizer.fromJson(json, path);
  }

  /** @param json the content of a `tokenizer.json` @throws UserError that names the wrong place. */
  static fromJson(json: unknown, source = 'tokenizer.json'): Tokenizer {
    return new Tokenizer(new JsonNode(json, '', source), source);
  }

  /** One more than the highest id. */
  get vocabularySize(): number {
    let highest = -1;
    for (const id of this.tokensById.keys()) highest = Math.max(highest, id);
    for (const id of this.addedById.keys()) highest = Math.max(highest, id);
    return highest + 1;
  }

  /** Id of a token, or null. */
  idOf(token: string): number | null {
    return this.idsOfAdded.get(token) ?? this.model.vocabulary.get(token) ?? null;
  }

  /** Token of an id, or null. */
  tokenOf(id: number): string | null {
    return this.addedById.get(id)?.content ?? this.tokensById.get(id) ?? null;
  }

  /** How batches are padded: what the file says, else the usual padding token on the right. */
  get padding(): Padding {
    const node = this.root.optional('padding');
    if (node) {
      return {
        id: node.field('pad_id').count(),
        token: node.field('pad_token').string(),
        typeId: node.optional('pad_type_id')?.count() ?? 0,
        side: node.optional('direction')?.string() === 'Left' ? 'left' : 'right',
      };
    }
    const token = PAD_TOKENS.find((name) => this.idOf(name) !== null);
    if (token === undefined) {
      return this.root.fail(`there is no padding token (${PAD_TOKENS.join(', ')}); encode texts one by one`);
    }
    return { id: this.idOf(token)!, token, typeId: 0, side: 'right' };
  }

  /** Id of the padding token. */
  get padId(): number {
    return this.padding.id;
  }

  encode(text: string, options: EncodeOptions = {}): Encoding {
    const texts = (options.pair === undefined ? [text] : [text, options.pair]).map(wellFormed);
    const addSpecial = options.addSpecialTokens ?? true;
    const sequences = texts.map((t, i) => this.tokens(t, i as 0 | 1));
    const overflow = this.truncate(sequences, addSpecial, options.maxLength);
    return toEncoding(this.postProcessor.process(sequences, addSpecial).flat(), texts, overflow);
  }

  /** Several texts, of one length where padding is asked for. */
  encodeBatch(texts: readonly string[], options: BatchOptions = {}): Encoding[] {
    const { maxLength, padding = false, addSpecialTokens = true } = options;
    const cuts = options.truncation ?? maxLength !== undefined;
    if ((cuts || padding === 'max') && maxLength === undefined) {
      throw new RangeError(
        '[Tokenizer.encodeBatch] expected maxLength for truncation or padding to the maximum',
      );
    }
    const limit = cuts && maxLength !== undefined ? { maxLength } : {};
    const encodings = texts.map((text) => this.encode(text, { addSpecialTokens, ...limit }));
    if (padding === false) return encodings;
    const longest = Math.max(0, ...encodings.map(({ ids }) => ids.length));
    const length = padding === 'longest' ? longest : padding === 'max' ? maxLength! : padding;
    const { padding: token } = this;
    return encodings.map((encoding) => pad(encoding, length, token));
  }

  /** The text of `ids`; unknown ids are left out. */
  decode(ids: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const skips = options.skipSpecialTokens ?? true;
    const tokens = Array.from(ids)
      .filter((id) => !(skips && this.addedById.get(id)?.special))
      .map((id) => this.tokenOf(id))
      .filter((token) => token !== null);
    this.decoder ??= read(this.root.optional('decoder'), readDecoder) ?? JOIN_BY_SPACES;
    return this.decoder(tokens);
  }

  /** First token of the text (or of its pair) that covers the character at `codePoint`, or null. */
  charToToken(encoding: Encoding, codePoint: number, sequence: 0 | 1 = 0): number | null {
    const index = encoding.offsets.findIndex(
      ([begin, end], i) => encoding.sequences[i] === sequence && codePoint >= begin && codePoint < end,
    );
    return index < 0 ? null : index;
  }

  /** Tokens of one text, without special ones around it. */
  private tokens(text: string, sequence: 0 | 1): Token[] {
    const result: Token[] = [];
    let word = 0;
    const add = (piece: AlignedText, id: number, value: string, start: number, stop: number) => {
      const [begin, end] = piece.original(start, stop);
      result.push({ id, value, begin, end, word, typeId: sequence, sequence });
    };
    for (const { piece, token } of this.extract(text)) {
      if (token) {
        add(piece, token.id, piece.text, 0, piece.length);
        word++;
        continue;
      }
      for (const part of this.preTokenizer?.(piece) ?? [piece]) {
        for (const { id, value, start, end } of this.model.tokenize(part.text)) {
          add(part, id, value, start, end);
        }
        word++;
      }
    }
    return result;
  }

  /** Normalised pieces of a text between its added tokens. */
  private extract(text: string) {
    return this.finders.raw.split(AlignedText.of(text)).flatMap((found) => {
      if (found.token) return [found];
      const piece = this.normalizer ? this.normalizer(found.piece) : found.piece;
      return this.finders.normalized.split(piece);
    });
  }

  /** Cuts the sequences to fit into `maxLength` with the special tokens; returns how many tokens went. */
  private truncate(sequences: Token[][], addSpecial: boolean, maxLength: number | undefined): number {
    if (maxLength === undefined) return 0;
    const room = maxLength - (addSpecial ? this.postProcessor.added(sequences.length > 1) : 0);
    if (!Number.isInteger(maxLength) || room < 0) {
      throw new RangeError(
        `[Tokenizer.encode] expected maxLength to hold the special tokens but received ${maxLength}`,
      );
    }
    const before = sequences.map(({ length }) => length);
    const after = truncatedLengths(before[0]!, before[1] ?? 0, room);
    let overflow = 0;
    sequences.forEach((tokens, i) => {
      const excess = tokens.length - after[i]!;
      overflow += excess;
      if (excess > 0) sequences[i] = this.cutsLeft ? tokens.slice(excess) : tokens.slice(0, after[i]);
    });
    return overflow;
  }
}

/** Halves of surrogate pairs have no UTF-8 form: they become U+FFFD, which is as long. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** `node` read by `reader`, or null where it is absent. */
function read<T>(node: JsonNode | null, reader: (node: JsonNode) => T): T | null {
  return node ? reader(node) : null;
}

/** Older files leave out the type of the model. */
function modelReader(model: JsonNode): (node: JsonNode) => TokenModel {
  if (model.isNull) return model.fail('there is no model; a Hugging Face tokenizer.json is wanted');
  if (model.optional('type')) return model.choose(MODELS, 'tokenizer model');
  return model.optional('merges') ? BpeModel.read : WordPieceModel.read;
}
