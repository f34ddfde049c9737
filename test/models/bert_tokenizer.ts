// SPDX-License-Identifier: Apache-2.0

const SPECIAL = { '[PAD]': 0, '[UNK]': 100, '[CLS]': 101, '[SEP]': 102, '.': 1012, ',': 1010, '?': 1029 };

const WORDS = ['ship', 'white', 'car', 'plane', 'red', 'the', 'small', '##s', '##port', 'air'];

/** A `tokenizer.json` of words that has the ids of bert-base-uncased where phrases end. */
export function bertTokenizerJson(): string {
  const known: Record<string, number> = { ...SPECIAL };
  WORDS.forEach((word, i) => {
    known[word] = 200 + i;
  });
  const taken = new Map(Object.entries(known).map(([word, id]) => [id, word]));
  const vocab = Object.fromEntries(
    Array.from({ length: 1040 }, (_, id) => [taken.get(id) ?? `[unused${id}]`, id]),
  );
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'].map((content) => ({
    id: known[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 102], cls: ['[CLS]', 101] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  });
}
