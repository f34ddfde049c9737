// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { TextEncoder } from '../../models/text/index.js';

/** Features kept at most, in bytes. */
const DEFAULT_BYTES = 256 << 20;

/** Texts encoded at once are a multiple of this, so that few shapes occur. */
const ROWS = 8;

/**
 * What a text encoder that is not trained makes of texts, kept by their tokens: a text that was read before costs a copy.
 * The texts that were not asked for longest are forgotten first.
 */
export class TextFeatureCache {
  /** Features of the real tokens by their ids, the least recently used first. */
  private readonly kept = new Map<string, Float32Array>();
  private bytes = 0;
  /** Texts that the encoder has read. */
  encoded = 0;

  constructor(
    private readonly encoder: TextEncoder,
    private readonly maxBytes: number = DEFAULT_BYTES,
  ) {}

  /**
   * @param ids int32 `[texts, tokens]` @param mask `[texts, tokens]`, 1 = real
   * @returns `[texts, tokens, hidden]`, 0 at padding
   */
  features(ids: tf.Tensor2D, mask: tf.Tensor2D): tf.Tensor3D {
    const [count, tokens] = ids.shape;
    const { hiddenSize, padId } = this.encoder;
    const rows = idRows(ids.dataSync() as Int32Array, mask.dataSync() as Float32Array, tokens);
    const found = this.look(rows, tokens, padId);
    const values = new Float32Array(count * tokens * hiddenSize);
    rows.forEach((row, i) => {
      if (row.length > 0) values.set(found.get(row.join())!, i * tokens * hiddenSize);
    });
    return tf.tensor3d(values, [count, tokens, hiddenSize]);
  }

  /** Features of every text, of those that are not kept by the encoder. */
  private look(rows: readonly Int32Array[], tokens: number, padId: number): Map<string, Float32Array> {
    const found = new Map<string, Float32Array>();
    const missing = new Map<string, Int32Array>();
    for (const row of rows) {
      const key = row.join();
      const known = this.kept.get(key);
      if (known) found.set(key, known);
      else if (row.length > 0) missing.set(key, row);
    }
    if (missing.size > 0) {
      const encoded = this.encode([...missing.values()], tokens, padId);
      [...missing.keys()].forEach((key, i) => {
        found.set(key, encoded[i]!);
      });
    }
    for (const [key, features] of found) this.keep(key, features);
    return found;
  }

  private keep(key: string, features: Float32Array): void {
    if (!this.kept.delete(key)) this.bytes += features.byteLength;
    this.kept.set(key, features);
    for (const [oldest, { byteLength }] of this.kept) {
      if (this.bytes <= this.maxBytes) break;
      this.kept.delete(oldest);
      this.bytes -= byteLength;
    }
  }

  private encode(rows: readonly Int32Array[], tokens: number, padId: number): Float32Array[] {
    const count = Math.ceil(rows.length / ROWS) * ROWS;
    const ids = new Int32Array(count * tokens).fill(padId);
    const mask = new Float32Array(count * tokens);
    rows.forEach((row, i) => {
      ids.set(row, i * tokens);
      mask.fill(1, i * tokens, i * tokens + row.length);
    });
    // A text of nothing has nothing to attend to.
    for (let i = rows.length; i < count; i++) mask[i * tokens] = 1;
    const all = tf.tidy(
      () =>
        this.encoder
          .encode(tf.tensor2d(ids, [count, tokens], 'int32'), tf.tensor2d(mask, [count, tokens]))
          .dataSync() as Float32Array,
    );
    this.encoded += rows.length;
    const stride = tokens * this.encoder.hiddenSize;
    return rows.map((row, i) => all.slice(i * stride, i * stride + row.length * this.encoder.hiddenSize));
  }
}

/** The real tokens of every text: they stand before the padding. */
function idRows(ids: Int32Array, mask: Float32Array, tokens: number): Int32Array[] {
  return Array.from({ length: ids.length / tokens }, (_, i) => {
    const real = mask.subarray(i * tokens, (i + 1) * tokens).indexOf(0);
    return ids.slice(i * tokens, i * tokens + (real < 0 ? tokens : real));
  });
}
