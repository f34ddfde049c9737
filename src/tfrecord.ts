// SPDX-License-Identifier: Apache-2.0
import crc32c from 'crc-32/crc32c.js';

/** `data` as one record of a TFRecord file: length, its checksum, data, its checksum. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.byteLength));
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)]);
}

/**
 * The records of a TFRecord file.
 * @throws Error if it is cut short or a checksum is wrong
 */
export function readTfRecords(file: Uint8Array): Uint8Array[] {
  const view = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < view.length; ) {
    const end = view.length - at < 12 ? Number.POSITIVE_INFINITY : at + 12 + Number(view.readBigUInt64LE(at));
    if (end + 4 > view.length) throw new Error(`the TFRecord file is cut short in record ${records.length}`);
    const data = view.subarray(at + 12, end);
    const sums = [view.subarray(at + 8, at + 12), view.subarray(end, end + 4)];
    if (!sums[0]!.equals(maskedCrc(view.subarray(at, at + 8))) || !sums[1]!.equals(maskedCrc(data))) {
      throw new Error(`record ${records.length} of the TFRecord file is damaged: its checksum is wrong`);
    }
    records.push(data);
    at = end + 4;
  }
  return records;
}

/** CRC-32C, turned and shifted as TFRecord wants it, so that a checksum of data that holds checksums is no trap. */
export function maskedCrc(data: Uint8Array): Uint8Array {
  const crc = crc32c.buf(data) >>> 0;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return bytes;
}
