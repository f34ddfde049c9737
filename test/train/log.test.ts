// SPDX-License-Identifier: Apache-2.0
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import sharp from 'sharp';
import { maskedCrc } from '../../src/tfrecord.js';
import { createProgress, formatSeconds } from '../../src/train/log/progress.js';
import { JsonLines, readRecords, type TrainRecord } from '../../src/train/log/records.js';
import { TensorBoardWriter } from '../../src/train/log/tensorboard.js';
import { runCharts } from '../../src/train/log.js';

const root = mkdtempSync(join(tmpdir(), 'tfgeo-log-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const record = (step: number, loss = 1): TrainRecord => ({
  kind: 'train',
  step,
  epoch: 0,
  loss,
  parts: { giou: loss / 2 },
  gradNorm: 3,
  lr: { main: 1e-4 },
  secondsPerStep: 0.5,
  tensors: 12,
  memoryMiB: 100,
});

// The parts of event.proto, summary.proto and the hparams plugin's plugin_data.proto that are written.
const { root: types } = protobuf.parse(`
  syntax = "proto3";
  message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
  message SessionLog { int32 status = 1; }
  message Summary { repeated Value value = 1; }
  message Value { string tag = 1; float simple_value = 2; Image image = 4; Tensor tensor = 8; Metadata metadata = 9; }
  message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
  message Tensor { int32 dtype = 1; Shape tensor_shape = 2; repeated bytes string_val = 8; }
  message Shape { repeated int64 dim = 2; }
  message Metadata { PluginData plugin_data = 1; }
  message PluginData { string plugin_name = 1; bytes content = 2; }
  message HParams { int32 version = 1; Session session_start_info = 3; }
  message Session { map<string, Any> hparams = 1; double start_time_secs = 5; }
  message Any { double number_value = 2; string string_value = 3; bool bool_value = 4; }
`);

interface Event {
  step?: number;
  fileVersion?: string;
  sessionLog?: { status: number };
  summary?: {
    value: {
      tag: string;
      simpleValue?: number;
      image?: { height: number; width: number; encodedImageString: Uint8Array };
      tensor?: { stringVal: Uint8Array[] };
      metadata?: { pluginData: { pluginName: string; content: Uint8Array } };
    }[];
  };
}

function events(path: string): Event[] {
  const bytes = readFileSync(path);
  const found: Event[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(Buffer.from(maskedCrc(bytes.subarray(at, at + 8)))).toEqual(bytes.subarray(at + 8, at + 12));
    expect(Buffer.from(maskedCrc(data))).toEqual(bytes.subarray(at + 12 + length, at + 16 + length));
    const type = types.lookupType('Event');
    found.push(type.toObject(type.decode(data), { longs: Number }) as Event);
    at += 16 + length;
  }
  return found;
}

describe('TensorBoardWriter', () => {
  it('has the checksum of the TFRecord format', () => {
    // CRC-32C of "123456789" is 0xe3069283; masked as TensorFlow does.
    const masked = (((0xe3069283 >>> 15) | (0xe3069283 << 17)) + 0xa282ead8) >>> 0;
    expect(Buffer.from(maskedCrc(Buffer.from('123456789'))).readUInt32LE()).toBe(masked);
  });

  it('writes scalars, pictures, text and hyper-parameters', async () => {
    const writer = new TensorBoardWriter(join(root, 'board'));
    const png = await sharp({ create: { width: 5, height: 3, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    writer.hparams({ lr: 0.5, model: 'tiny', augment: true }, ['eval/AP50']);
    writer.scalars(300, { 'train/loss': 1.5, 'lr/main': 0.25 });
    writer.image(301, 'samples/a', png);
    writer.text(302, 'notes', '*hello*');
    writer.resumed(200);
    writer.close();
    const [version, , start, scalars, image, text, resumed] = events(writer.path);
    expect(version).toMatchObject({ fileVersion: 'brain.Event:2' });
    expect(scalars).toMatchObject({
      step: 300,
      summary: {
        value: [
          { tag: 'train/loss', simpleValue: 1.5 },
          { tag: 'lr/main', simpleValue: 0.25 },
        ],
      },
    });
    const picture = image!.summary!.value[0]!.image!;
    expect([picture.width, picture.height, Buffer.from(picture.encodedImageString).equals(png)]).toEqual([
      5,
      3,
      true,
    ]);
    expect(Buffer.from(text!.summary!.value[0]!.tensor!.stringVal[0]!).toString()).toBe('*hello*');
    expect(resumed).toMatchObject({ step: 200, sessionLog: { status: 1 } });
    const { content, pluginName } = start!.summary!.value[0]!.metadata!.pluginData;
    expect(pluginName).toBe('hparams');
    const type = types.lookupType('HParams');
    expect(type.toObject(type.decode(content))).toMatchObject({
      sessionStartInfo: {
        hparams: { lr: { numberValue: 0.5 }, model: { stringValue: 'tiny' }, augment: { boolValue: true } },
      },
    });
  });
});

describe('log.jsonl', () => {
  it('is read back without a line that was cut short, and continues after a step', () => {
    const lines = new JsonLines(root, null);
    for (const step of [1, 2, 3]) lines.write(record(step));
    lines.close();
    appendFileSync(join(root, 'log.jsonl'), '{"kind":"train","st');
    expect(readRecords(root).map(({ step }) => step)).toEqual([1, 2, 3]);
    const resumed = new JsonLines(root, 2);
    resumed.write(record(3, 9));
    resumed.close();
    expect(readRecords(root).map((one) => [one.step, one.kind === 'train' && one.loss])).toEqual([
      [1, 1],
      [2, 1],
      [3, 9],
    ]);
  });
});

describe('progress', () => {
  it('draws a bar on a terminal and keeps what is said above it', () => {
    let text = '';
    const output = { isTTY: true, columns: 120, write: (part: string) => (text += part), on: () => output };
    const progress = createProgress(output, 4, 0);
    progress.step(1, record(1, 2.5));
    progress.say('saved somewhere');
    progress.stop();
    expect(text).toContain('1/4  loss 2.500  grad 3.00  lr 1.0e-4  0.50 s/step');
    expect(text).toContain('saved somewhere\n');
  });

  it('writes durations for people', () => {
    expect([3, 99, 720, 7500].map(formatSeconds)).toEqual(['3 s', '99 s', '12 min', '2 h 05 min']);
  });
});

describe('runCharts', () => {
  it('shows losses, parts, figures and rates', () => {
    const charts = runCharts([
      record(1, 4),
      record(2, 2),
      {
        kind: 'eval',
        step: 2,
        epoch: 1,
        figures: { AP50: 0.5, AP75: -1, 'form/kind/AP50': 1, pictures: 3 },
        seconds: 1,
      },
    ]);
    const series = Object.fromEntries(charts.map(({ title, series: lines }) => [title, lines]));
    expect(series.Loss![1]!.points).toEqual([
      [1, 4],
      [2, 2],
    ]);
    expect(series.Evaluation!.map(({ name, points }) => [name, points.length])).toEqual([
      ['AP50', 1],
      ['AP75', 0],
    ]);
  });
});
