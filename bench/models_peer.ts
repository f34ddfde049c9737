// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { readSafetensors, writeSafetensors } from '../src/models/weights/safetensors.js';
import { storeTensor } from '../src/models/weights/state_dict.js';
import { packageRoot } from '../src/package.js';
import { TRANSFORMERS } from '../tools/python_environment.js';
import type { BuiltCase } from './models_cases.js';
import { PythonPeer, torchPython } from './python_peer.js';

/** What the peer needs beside PyTorch. */
const PACKAGES = [TRANSFORMERS, 'safetensors', 'scipy', 'pillow'];

/** Milliseconds on the clock, and of all threads together. */
export interface Taken {
  wall: number;
  processor: number;
}

/** A running `models_torch.py`. */
export class ModelPeer extends PythonPeer {
  /** @throws UserError where PyTorch does not start */
  static async start(threads: number): Promise<ModelPeer> {
    const python = await torchPython(console.log, PACKAGES);
    const script = join(packageRoot(), 'bench', 'models_torch.py');
    return new ModelPeer(PythonPeer.spawn(python, script, threads)).begin();
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
  async time(): Promise<Taken> {
    const [wall, processor] = (await this.ask('time')).split(' ').map(Number) as [number, number];
    return { wall, processor };
  }

  /** What PyTorch gives. */
  async outputs(): Promise<Record<string, Float32Array>> {
    await this.ask('save');
    const stored = await readSafetensors(join(this.folder, 'outputs.safetensors'));
    return Object.fromEntries([...stored].map(([name, { data }]) => [name, data as Float32Array]));
  }
}
