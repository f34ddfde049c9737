// SPDX-License-Identifier: Apache-2.0

/** Names of the ops in a serialized tensorflow.OpList: message OpList { OpDef op = 1; }, OpDef { string name = 1; }. */
export function opNames(list: Uint8Array): string[] {
  return fieldsOf(list)
    .filter(({ field }) => field === 1)
    .map(({ bytes }) => {
      const name = fieldsOf(bytes).find(({ field }) => field === 1);
      return name === undefined ? '' : Buffer.from(name.bytes).toString('utf8');
    })
    .filter((name) => name !== '');
}

/** Length-delimited fields of a protocol buffer message; the other wire types are stepped over. */
function fieldsOf(message: Uint8Array): { field: number; bytes: Uint8Array }[] {
  const fields: { field: number; bytes: Uint8Array }[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('the op list is cut short');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag & 7;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else {
      const length = varint();
      fields.push({ field: Math.floor(tag / 8), bytes: message.subarray(at, at + length) });
      at += length;
    }
  }
  return fields;
}
