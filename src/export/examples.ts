// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import sharp from 'sharp';
import type { HostTensor, TensorValues, TfDtypeName } from '../engine/index.js';
import type { Exportable, ExtraInput, PictureBatch } from '../models/exportable/index.js';
import type { RgbImage } from '../models/types.js';
import { Random } from '../random.js';
import type { Example } from './warmup.js';

/** What the examples are made for. */
export interface ExampleOptions {
  width: number;
  height: number;
  encoded: boolean;
  batch: number;
}

/**
 * Examples of an exported model: made pictures, and the answers of the model itself, computed operation by operation.
 * One for each signature.
 */
export async function makeExamples(exportable: Exportable, options: ExampleOptions): Promise<Example[]> {
  const { width, height, encoded, batch } = options;
  const random = new Random(batch);
  const pictures = Array.from({ length: batch }, (_, i) => {
    // Encoded pictures may be smaller than the graph's; every second one is.
    const part = encoded && i % 2 === 1 ? 0.75 : 1;
    return madePicture(Math.round(width * part), Math.round(height * part), random);
  });
  const inputs = new Map<string, HostTensor>();
  if (encoded) {
    const values = await Promise.all(pictures.map(toPng));
    inputs.set('image_bytes', { dtype: 'string', shape: [batch], values });
  } else {
    const values = Buffer.concat(pictures.map(({ data }) => data));
    inputs.set('pixels', {
      dtype: 'uint8',
      shape: [batch, height, width, 3],
      values: new Uint8Array(values),
    });
  }
  const extra = new Map(exportable.inputs.map((input) => [input.name, extraValues(input, batch)]));
  for (const [name, tensor] of extra) inputs.set(name, tensor);
  const { raw, detections } = answers(exportable, pictures, extra, options);
  return [
    { signature: 'detect', inputs, outputs: detections },
    { signature: 'raw', inputs, outputs: raw },
  ];
}

/** A whole number in [low, high). */
function between(random: Random, low: number, high: number): number {
  return Math.floor(random.range(low, high));
}

/** Coloured boxes on uneven ground: enough for every part of a detector to have something to say. */
function madePicture(width: number, height: number, random: Random): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const ground = [between(random, 60, 160), between(random, 60, 160), between(random, 60, 160)];
  for (let i = 0; i < data.length; i++) data[i] = ground[i % 3]! + between(random, 0, 24);
  for (let box = 0; box < 12; box++) {
    const w = between(random, Math.ceil(width / 20), Math.ceil(width / 5));
    const h = between(random, Math.ceil(height / 20), Math.ceil(height / 5));
    const x = between(random, 0, Math.max(1, width - w));
    const y = between(random, 0, Math.max(1, height - h));
    const colour = [between(random, 0, 256), between(random, 0, 256), between(random, 0, 256)];
    for (let row = y; row < y + h && row < height; row++) {
      for (let column = x; column < x + w && column < width; column++) {
        for (let c = 0; c < 3; c++) data[(row * width + column) * 3 + c] = colour[c]!;
      }
    }
  }
  return { width, height, data };
}

function toPng({ width, height, data }: RgbImage): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

function extraValues({ dtype, shape, example }: ExtraInput, batch: number): HostTensor {
  const size = shape.reduce((product, side) => product * side, 1);
  const values = dtype === 'int32' ? new Int32Array(batch * size) : new Float32Array(batch * size);
  for (let i = 0; i < batch; i++) values.set(example(i), i * size);
  return { dtype, shape: [batch, ...shape], values };
}

function answers(
  exportable: Exportable,
  pictures: readonly RgbImage[],
  extra: ReadonlyMap<string, HostTensor>,
  options: ExampleOptions,
): { raw: Map<string, HostTensor>; detections: Map<string, HostTensor> } {
  const found = { raw: new Map<string, HostTensor>(), detections: new Map<string, HostTensor>() };
  tf.tidy(() => {
    const tensors = Object.fromEntries([...extra].map(([name, tensor]) => [name, onDevice(tensor)]));
    const { raw, detections } = exportable.run(batchOf(pictures, options), tensors);
    for (const [name, tensor] of Object.entries(raw)) found.raw.set(name, onHost(tensor));
    for (const [name, tensor] of Object.entries(detections)) found.detections.set(name, onHost(tensor));
  });
  return found;
}

/** Pictures in the upper left corners of a batch. */
function batchOf(pictures: readonly RgbImage[], { width, height, encoded }: ExampleOptions): PictureBatch {
  const pixels = new Float32Array(pictures.length * width * height * 3);
  const mask = new Float32Array(pictures.length * width * height);
  pictures.forEach((picture, i) => {
    for (let y = 0; y < picture.height; y++) {
      const row = (i * height + y) * width;
      pixels.set(picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3), row * 3);
      mask.fill(1, row, row + picture.width);
    }
  });
  const batch = pictures.length;
  const sizes = pictures.flatMap((picture) => [picture.width, picture.height]);
  return {
    pixels: tf.tensor4d(pixels, [batch, height, width, 3]),
    mask: encoded ? tf.tensor3d(mask, [batch, height, width]) : null,
    sizes: tf.tensor2d(sizes, [batch, 2]),
  };
}

function onDevice({ dtype, shape, values }: HostTensor): tf.Tensor {
  return tf.tensor(values as Int32Array, [...shape], dtype as tf.NumericDataType);
}

function onHost(tensor: tf.Tensor): HostTensor {
  const dtype = tensor.dtype as TfDtypeName;
  return { dtype, shape: tensor.shape, values: tensor.dataSync() as TensorValues };
}
