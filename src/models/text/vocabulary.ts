// SPDX-License-Identifier: Apache-2.0
import type { JsonNode } from './json_node.js';

/** The `vocab` object of a tokenizer file: token to id. */
export function readVocabulary(node: JsonNode): Map<string, number> {
  const vocabulary = new Map<string, number>();
  for (const [token, id] of Object.entries(node.object())) {
    if (!Number.isSafeInteger(id) || (id as number) < 0) {
      node.fail(`token '${token}' has no whole number as its id but ${String(id)}`);
    }
    vocabulary.set(token, id as number);
  }
  if (vocabulary.size === 0) node.fail('the vocabulary is empty');
  return vocabulary;
}
