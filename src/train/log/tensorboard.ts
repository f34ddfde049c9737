// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Encoded, field } from '../../protobuf.js';
import { tfRecord } from '../../tfrecord.js';

/** A value that describes a run in TensorBoard's table of hyper-parameters. */
export type HyperParameter = number | string | boolean;

/**
 * Writes TensorBoard event files without TensorFlow. Field numbers are those of `event.proto`, `summary.proto`,
 * `tensor.proto` (TensorFlow) and the hparams plugin's `plugin_data.proto` (TensorBoard); records are framed as
 * TFRecords: length, its checksum, data, its checksum.
 */
export class TensorBoardWriter {
  readonly path: string;
  private readonly file: number;

  /** Begins a new event file in `folder`; TensorBoard joins the files of a folder by step. */
  constructor(folder: string, now = Date.now()) {
    mkdirSync(folder, { recursive: true });
    const stamp = String(Math.floor(now / 1000)).padStart(10, '0');
    this.path = join(folder, `events.out.tfevents.${stamp}.tfgeo.${process.pid}.${now % 1000}`);
    this.file = openSync(this.path, 'w');
    this.event(now, null, field.text(3, 'brain.Event:2'));
  }

  /** Tells TensorBoard to forget what earlier files say of this step and later ones: the run was resumed. */
  resumed(step: number): void {
    this.event(Date.now(), step, field.message(7, field.integer(1, 1)));
  }

  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const summaries = Object.entries(values).map(([tag, value]) =>
      field.message(1, field.text(1, tag), field.float(2, value)),
    );
    this.summary(step, summaries);
  }

  /** @param png the file's content; its size is read from its header */
  image(step: number, tag: string, png: Uint8Array): void {
    const header = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
    const picture = field.message(
      4,
      field.integer(1, header.readUInt32BE(20)),
      field.integer(2, header.readUInt32BE(16)),
      field.integer(3, 3),
      field.bytes(4, png),
    );
    this.summary(step, [field.message(1, field.text(1, tag), picture)]);
  }

  /** @param markdown shown under the tab "Text" */
  text(step: number, tag: string, markdown: string): void {
    const tensor = field.message(8, field.integer(1, 7), field.message(2), field.text(8, markdown));
    const metadata = field.message(9, field.message(1, field.text(1, 'text')));
    this.summary(step, [field.message(1, field.text(1, tag), tensor, metadata)]);
  }

  /** Hyper-parameters of the run, and the scalar tags by which runs are to be compared. */
  hparams(values: Readonly<Record<string, HyperParameter>>, metrics: readonly string[]): void {
    const experiment = field.message(
      2,
      ...Object.entries(values).map(([name, value]) =>
        field.message(4, field.text(1, name), field.integer(4, HPARAM_TYPES[typeof value as 'number'])),
      ),
      ...metrics.map((tag) => field.message(5, field.message(1, field.text(2, tag)))),
    );
    const session = field.message(
      3,
      ...Object.entries(values).map(([name, value]) =>
        field.message(1, field.text(1, name), field.message(2, structValue(value))),
      ),
      field.double(5, Date.now() / 1000),
    );
    this.plugin('_hparams_/experiment', experiment);
    this.plugin('_hparams_/session_start_info', session);
  }

  close(): void {
    closeSync(this.file);
  }

  private plugin(tag: string, content: Encoded): void {
    const data = field.message(1, field.text(1, 'hparams'), field.bytes(2, content));
    const tensor = field.message(8, field.integer(1, 1), field.message(2));
    this.summary(0, [field.message(1, field.text(1, tag), field.bytes(9, data), tensor)]);
  }

  private summary(step: number, values: Encoded[]): void {
    this.event(Date.now(), step, field.message(5, ...values));
  }

  private event(now: number, step: number | null, content: Encoded): void {
    const steps = step === null ? [] : [field.integer(2, step)];
    const data = Buffer.concat([field.double(1, now / 1000), ...steps, content]);
    writeSync(this.file, tfRecord(data));
  }
}

/** `DataType` of hparams' `api.proto`. */
const HPARAM_TYPES = { string: 1, boolean: 2, number: 3 } as const;

/** A `google.protobuf.Value`. */
function structValue(value: HyperParameter): Encoded {
  if (typeof value === 'number') return field.double(2, value);
  return typeof value === 'string' ? field.text(3, value) : field.integer(4, value ? 1 : 0);
}
