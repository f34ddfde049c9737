// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { readSafetensors, writeSafetensors } from '../src/models/weights/safetensors.js';
import { storeTensor } from '../src/models/weights/state_dict.js';
import { TRANSFORMERS } from '../tools/python_environment.js';
import type { BuiltCase } from './models_cases.js';
import { PythonPeer, torchPython } from './python_peer.js';
import type { Taken } from './timing.js';

/** What the peer needs beside PyTorch. */
const PACKAGES = [TRANSFORMERS, 'safetensors', 'scipy', 'pillow'];

/** A running `models_torch.py`. */
export class ModelPeer extends PythonPeer {
  /** @throws UserError where PyTorch does not start */
  static async start(threads: number): Promise<ModelPeer> {
    const python = await torchPython(console.log, PACKAGES);
    return new ModelPeer(PythonPeer.spawn(python, 'models_torch.py', threads)).begin();
  }

  /** Hands over weights and inputs. */
  async load({ peer: { kind, config, weights, inputs } }: BuiltCase): Promise<void> {
    writeFileSync(join(this.folder, 'config.json'), JSON.stringify(config));
    writeSafetensors(join(this.folder, 'model.safetensors'), weights);
    const given = tf.tidy(() => inputs());
    const stored = Object.entries(given).map(([name, x]) => [name, storeTensor(x, 'same')] as const);
    writeSafetensors(join(this.folder, 'inputs.safetensors'), new Map(stored));
    await this.ask(`load ${this.folder} ${kind}`);
  }

  /** One forward pass. */
  time(): Promise<Taken> {
    return this.taken('time');
  }

  /** What PyTorch gives. */
  async outputs(): Promise<Record<string, Float32Array>> {
    await this.ask('save');
    const stored = await readSafetensors(join(this.folder, 'outputs.safetensors'));
    return Object.fromEntries([...stored].map(([name, { data }]) => [name, data as Float32Array]));
  }
}
