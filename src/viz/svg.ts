// SPDX-License-Identifier: Apache-2.0

/** Text as XML takes it; control characters and halves of surrogate pairs, which XML forbids, become spaces. */
export function escapeXml(words: string): string {
  return words
    .replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
