// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { DeformableDetrConfig } from '../src/models/config.js';
import type { DeformableDetr } from '../src/models/deformable_detr/index.js';
import { writeSafetensors } from '../src/models/weights/safetensors.js';
import { saveStateDict } from '../src/models/weights/state_dict.js';
import { TRANSFORMERS } from '../tools/python_environment.js';
import { huggingFaceConfig } from './detectors_model.js';
import { PythonPeer, torchPython } from './python_peer.js';
import type { Taken } from './timing.js';

/** What the peer needs beside PyTorch. */
const PACKAGES = [
  TRANSFORMERS,
  'onnx==1.23.2',
  'onnxscript==0.7.2',
  'onnxruntime==1.31.1',
  'scipy',
  'safetensors',
  'pillow',
];

/** A running `detectors_torch.py`. */
export class DetectorPeer extends PythonPeer {
  /** @throws UserError where PyTorch does not start */
  static async start(threads: number): Promise<DetectorPeer> {
    const python = await torchPython(console.log, PACKAGES);
    return new DetectorPeer(PythonPeer.spawn(python, 'detectors_torch.py', threads)).begin();
  }

  /** Hands over weights, a picture and the objects to be found in it. */
  async load(given: {
    model: DeformableDetr;
    config: DeformableDetrConfig;
    pixels: tf.Tensor4D;
    boxes: number[][];
    size: number;
  }): Promise<void> {
    const { model, config, pixels, boxes, size } = given;
    writeFileSync(join(this.folder, 'config.json'), JSON.stringify(huggingFaceConfig(config)));
    writeSafetensors(join(this.folder, 'model.safetensors'), saveStateDict(model));
    const channelsFirst = tf.tidy(() => tf.transpose(pixels, [0, 3, 1, 2]));
    this.write('pixels', channelsFirst.dataSync() as Float32Array);
    channelsFirst.dispose();
    this.write('boxes', Float32Array.from(boxes.flat()));
    await this.ask(`load ${this.folder} size=${size} boxes=${boxes.length}`);
  }

  /** One run. */
  time(what: 'forward' | 'step' | 'onnx'): Promise<Taken> {
    return this.taken(`time ${what}`);
  }

  /** What PyTorch predicts. */
  async predictions(): Promise<Record<'logits' | 'boxes', Float32Array>> {
    await this.ask(`save ${this.folder}`);
    return { logits: this.read('logits'), boxes: this.read('boxes') };
  }
}
