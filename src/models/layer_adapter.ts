// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { RandomSeeds, RandomStream } from '../ops/index.js';
import type { Module } from './module.js';

/** Shape with the batch first; null where it is not known before a tensor comes. */
export type LayerShape = (number | null)[];

/** Plain values that a module is built from; they must survive JSON. */
export type LayerSettings = Readonly<Record<string, unknown>>;

export interface LayerCall {
  /** Whether `model.fit` is running. */
  training: boolean;
  /** Where stochastic parts draw from. */
  random: RandomStream;
}

/** How a module is used as a layer of TensorFlow.js: one row per kind of layer. */
export interface LayerKind<M extends Module> {
  /** Name in saved models. */
  className: string;
  /** The module with fresh values. */
  build(settings: LayerSettings): M;
  /** @returns one tensor, or several where the layer has several outputs */
  call(module: M, inputs: tf.Tensor[], call: LayerCall): tf.Tensor | tf.Tensor[];
  /** Shapes of what `call` gives for inputs of these shapes. */
  outputShape(settings: LayerSettings, inputs: LayerShape[]): LayerShape | LayerShape[];
}

export type ModuleLayerArgs<M extends Module = Module> = ConstructorParameters<typeof tf.layers.Layer>[0] & {
  /** What the module is built from. In saved models they travel as JSON text under `name`. */
  settings?: LayerSettings | { name: string };
  /** A module to take instead of a fresh one; `settings` must be those it was built from. */
  module?: M;
  /** Seed of stochastic parts in training (default 0). */
  seed?: number;
};

/** A module as a layer: usable in `tf.model`, listed by `summary()`, trained by `fit`, saved and loaded with the model. */
export interface ModuleLayer<M extends Module> extends tf.layers.Layer {
  /** The module, once the layer is built. */
  readonly module: M;
}

export interface ModuleLayerClass<M extends Module> {
  new (args: ModuleLayerArgs<M>): ModuleLayer<M>;
  readonly className: string;
  fromConfig: tf.serialization.SerializableConstructor<tf.serialization.Serializable>['fromConfig'];
}

/** A layer's handle on a variable that belongs to a module. */
class ModuleVariable extends tf.LayerVariable {
  constructor(variable: tf.Variable, name: string, trainable: boolean) {
    super(variable, variable.dtype, name, trainable);
    // The base class made a variable of its own from the value; the module's takes its place.
    this.val.dispose();
    Object.defineProperty(this, 'val', { value: variable });
  }
}

/**
 * Makes a layer class of a kind of module and registers it, so that `tf.loadLayersModel` finds it by name.
 * Weights are named after the layer and the module's dotted names.
 */
export function registerModuleLayer<M extends Module>(kind: LayerKind<M>): ModuleLayerClass<M> {
  class RegisteredLayer extends tf.layers.Layer implements ModuleLayer<M> {
    static readonly className = kind.className;
    private readonly settings: LayerSettings;
    private readonly seed: number;
    private readonly seeds: RandomSeeds;
    private built_: M | null;

    constructor(args: ModuleLayerArgs<M>) {
      super(args);
      this.settings = decodeSettings(args.settings ?? {});
      this.seed = args.seed ?? 0;
      this.seeds = new RandomSeeds(this.seed);
      this.built_ = args.module ?? null;
    }

    get module(): M {
      if (!this.built_)
        throw new Error(`[${kind.className}] expected a layer that has been applied or built`);
      return this.built_;
    }

    override build(): void {
      const module = this.built_ ?? kind.build(this.settings);
      this.built_ = module;
      const seen = new Set<tf.Variable>();
      const fixed: tf.LayerVariable[] = [];
      for (const [name, { variable, trainable }] of module.namedParameters()) {
        if (seen.has(variable)) continue;
        seen.add(variable);
        const list = trainable ? this._trainableWeights : fixed;
        list.push(new ModuleVariable(variable, name, trainable));
      }
      this.nonTrainableWeights = fixed;
      this.trainable = this.trainable_;
      this.built = true;
    }

    override call(inputs: tf.Tensor | tf.Tensor[], kwargs: { training?: boolean }): tf.Tensor | tf.Tensor[] {
      const list = Array.isArray(inputs) ? inputs : [inputs];
      return tf.tidy(() => {
        const random = new RandomStream(this.seeds.next());
        return kind.call(this.module, list, { training: kwargs.training === true, random });
      });
    }

    override computeOutputShape(shape: LayerShape | LayerShape[]): LayerShape | LayerShape[] {
      return kind.outputShape(this.settings, isShapeList(shape) ? shape : [shape]);
    }

    override getConfig(): tf.serialization.ConfigDict {
      // Saving turns every key and text to snake_case and loading to camelCase, except texts under the key `name`.
      const settings = { name: JSON.stringify(this.settings) };
      return { ...super.getConfig(), settings, seed: this.seed };
    }

    protected override disposeWeights(): number {
      const count = super.disposeWeights();
      this.built_?.dispose();
      return count;
    }
  }
  tf.serialization.registerClass(RegisteredLayer);
  return RegisteredLayer;
}

function decodeSettings(settings: LayerSettings | { name: string }): LayerSettings {
  const { name } = settings as { name?: unknown };
  const isText = typeof name === 'string' && Object.keys(settings).length === 1;
  return isText ? (JSON.parse(name) as LayerSettings) : (settings as LayerSettings);
}

function isShapeList(shape: LayerShape | LayerShape[]): shape is LayerShape[] {
  return Array.isArray(shape[0]);
}
