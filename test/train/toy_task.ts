// SPDX-License-Identifier: Apache-2.0
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import sharp from 'sharp';
import { Linear } from '../../src/models/layers/basic.js';
import { Module } from '../../src/models/module.js';
import type { Random } from '../../src/random.js';
import { DataOrder } from '../../src/train/data_order.js';
import type { TrainTask } from '../../src/train/task.js';

class ToyModel extends Module {
  readonly first = this.child('backbone.first', new Linear(3, 8));
  readonly second = this.child('second', new Linear(8, 1));
  /** Never reached by the loss. */
  readonly idle = this.child('idle', new Linear(2, 2));

  forward(x: tf.Tensor2D): tf.Tensor2D {
    return this.second.forward(tf.tanh(this.first.forward(x))) as tf.Tensor2D;
  }
}

export interface ToyBatch {
  ids: number[];
  x: tf.Tensor2D;
  y: tf.Tensor2D;
}

/** Learns the sign pattern of three numbers; 20 samples, noise drawn anew in every batch. */
export class ToyTask implements TrainTask<ToyBatch> {
  readonly model = new ToyModel();
  readonly bestFigure = 'AP50';
  readonly stepsPerEpoch: number;
  readonly seenBatches: number[][] = [];
  liveBatches = 0;
  evaluations = 0;
  disposed = false;
  private readonly order: DataOrder;

  constructor(
    seed: number,
    private readonly batchSize: number,
    /** Step whose loss is not a number. */
    private readonly poisoned = -1,
  ) {
    this.order = new DataOrder(20, seed);
    this.stepsPerEpoch = this.order.stepsPerEpoch(batchSize);
  }

  parameters() {
    return this.model.trainableParameters();
  }

  async batch(step: number, random: Random): Promise<ToyBatch> {
    const ids = this.order.batch(step, this.batchSize);
    this.seenBatches.push(ids);
    this.liveBatches++;
    const rows = ids.map((id) => [id % 2, id % 3, id % 5].map((value) => value + 0.1 * random.normal()));
    const bad = step === this.poisoned;
    const y = rows.map(([a, b, c]) => [bad ? Number.NaN : Math.sin(a! + b!) + c! / 5]);
    return { ids, x: tf.tensor2d(rows), y: tf.tensor2d(y) };
  }

  inputs({ x, y }: ToyBatch) {
    return { x, y };
  }

  loss({ x, y }: Pick<ToyBatch, 'x' | 'y'>) {
    const error = tf.sub(this.model.forward(x), y);
    const square = tf.mean(tf.square(error)) as tf.Scalar;
    const absolute = tf.mean(tf.abs(error)) as tf.Scalar;
    return { total: tf.add(square, absolute) as tf.Scalar, parts: { square, absolute } };
  }

  sampleIds({ ids }: ToyBatch) {
    return ids.map((id) => `toy-${id}`);
  }

  disposeBatch({ x, y }: ToyBatch) {
    this.liveBatches--;
    tf.dispose([x, y]);
  }

  async evaluate(limit?: number) {
    this.evaluations++;
    const probe = tf.tidy(() => this.model.forward(tf.ones([1, 3])).dataSync()[0]!);
    return { AP50: 1 / (1 + Math.abs(probe)), pictures: limit ?? 20, 'form/kind/AP50': 0.5 };
  }

  async samples(dir: string, step: number) {
    const path = join(dir, 'probe.png');
    const colour = { r: step % 256, g: 0, b: 0 };
    await writeFile(
      path,
      await sharp({ create: { width: 4, height: 3, channels: 3, background: colour } })
        .png()
        .toBuffer(),
    );
    return [path];
  }

  async describe() {
    return { 'config.json': '{"toy":true}\n' };
  }

  dispose() {
    this.disposed = true;
    this.model.dispose();
  }
}
