// SPDX-License-Identifier: Apache-2.0
import { PythonPeer } from './python_peer.js';

/** Sizes of a call, as the peer takes them. */
export interface PeerCase {
  batch: number;
  heads: number;
  dim: number;
  points: number;
  queries: number;
  levels: readonly (readonly [number, number])[];
}

/** The form of the samples: locations and weights, or what they are computed from. */
export type PeerForm = 'located' | 'composed';

/** A running `ms_deform_attn_torch.py`. */
export class TorchPeer extends PythonPeer {
  /** @throws UserError where PyTorch does not start */
  static start(python: string, script: string, threads: number): Promise<TorchPeer> {
    return new TorchPeer(PythonPeer.spawn(python, script, threads)).begin();
  }

  /** Hands over a case: its arrays, each under the name the script gives it. */
  async load(entry: PeerCase, form: PeerForm, arrays: Readonly<Record<string, Float32Array>>): Promise<void> {
    for (const [name, values] of Object.entries(arrays)) this.write(name, values);
    const sizes = (['batch', 'heads', 'dim', 'points', 'queries'] as const).map(
      (key) => `${key}=${entry[key]}`,
    );
    const levels = entry.levels.map(([h, w]) => `${h}x${w}`).join(',');
    await this.ask(`load ${this.folder} ${sizes.join(' ')} levels=${levels} form=${form}`);
  }

  /** Milliseconds of `count` runs; a step is forward and backward. */
  async time(what: 'forward' | 'step', count = 1): Promise<number[]> {
    return (await this.ask(`time ${what} ${count}`)).split(' ').map(Number);
  }

  /** What one step gives: `output` and `grad_<input>`. */
  async results(names: readonly string[]): Promise<Record<string, Float32Array>> {
    await this.ask(`save ${this.folder}`);
    return Object.fromEntries(names.map((name) => [name, this.read(name)]));
  }
}
