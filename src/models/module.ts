// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import type { InitSpec } from './init.js';
import { initialise } from './init.js';

/**
 * How a parameter is stored here and how the reference stores it.
 * - `same`: no change (PyTorch Linear weights stay `[out, in]`, multiplied with `transposeB`).
 * - `conv`: here HWIO `[kh, kw, in, out]`, reference OIHW `[out, in, kh, kw]`.
 * - `depthwise`: here `[kh, kw, in, mult]`, reference `[in * mult, 1, kh, kw]`.
 */
export type ParameterLayout = 'same' | 'conv' | 'depthwise';

/** A named array of a module. Buffers (`trainable: false`) are saved but never optimised. */
export interface Parameter {
  readonly variable: tf.Variable;
  readonly layout: ParameterLayout;
  readonly trainable: boolean;
}

/** Values that follow from a module's settings. PyTorch's modules keep such tables in their state dicts all the same. */
export interface Table {
  readonly shape: number[];
  /** Row-major; int64 as 64-bit numbers. */
  readonly data: Float32Array | BigInt64Array;
}

export interface ParameterSpec {
  /** Shape as stored here (see ParameterLayout). */
  shape: number[];
  init: InitSpec;
  layout?: ParameterLayout;
  trainable?: boolean;
  dtype?: 'float32' | 'int32';
}

/**
 * A tree of named parameters whose dotted names equal the reference's state dict.
 *
 * Subclasses register parameters and children in their constructor and have a typed `forward` of their own.
 * Values are created at once from the global initialiser stream (`seedInitialisers`), so that a seed fixes a model.
 */
export abstract class Module {
  private readonly ownParameters = new Map<string, Parameter>();
  private readonly ownTables = new Map<string, () => Table>();
  private readonly childModules = new Map<string, Module>();
  private readonly borrowedModules = new Map<string, Module>();

  /** Creates and registers a parameter; returns its variable. */
  protected parameter(name: string, spec: ParameterSpec): tf.Variable {
    const trainable = spec.trainable ?? true;
    const variable = tf.tidy(() =>
      tf.variable(initialise(spec.shape, spec.init, spec.dtype ?? 'float32'), trainable),
    );
    this.ownParameters.set(name, { variable, layout: spec.layout ?? 'same', trainable });
    return variable;
  }

  /** Registers a table that the reference keeps beside its parameters; made when it is asked for. */
  protected table(name: string, make: () => Table): void {
    this.ownTables.set(name, make);
  }

  /** Registers `module` under `name` (which may hold dots) and returns it. */
  protected child<T extends Module>(name: string, module: T): T {
    this.childModules.set(name, module);
    return module;
  }

  /** Registers a module whose values come from elsewhere: it is neither trained nor saved with this one. */
  protected borrow<T extends Module>(name: string, module: T): T {
    this.borrowedModules.set(name, module);
    return module;
  }

  /** Registers modules as `name.0`, `name.1`, ... and returns them. */
  protected children<T extends Module>(name: string, modules: T[]): T[] {
    modules.forEach((module, i) => {
      this.child(`${name}.${i}`, module);
    });
    return modules;
  }

  /**
   * All parameters by dotted name, depth first in order of registration.
   * A module registered twice gives its parameters under every name, as a state dict does.
   * @param borrowed also those of borrowed modules
   */
  namedParameters(prefix = '', borrowed = false): Map<string, Parameter> {
    const all = new Map<string, Parameter>();
    for (const [name, parameter] of this.ownParameters) all.set(prefix + name, parameter);
    for (const [name, module] of borrowed ? this.allParts() : this.childModules) {
      for (const [key, parameter] of module.namedParameters(`${prefix}${name}.`, borrowed))
        all.set(key, parameter);
    }
    return all;
  }

  /** All tables by dotted name, as {@link namedParameters}. */
  namedTables(prefix = ''): Map<string, () => Table> {
    const all = new Map<string, () => Table>();
    for (const [name, make] of this.ownTables) all.set(prefix + name, make);
    for (const [name, module] of this.childModules)
      for (const [key, make] of module.namedTables(`${prefix}${name}.`)) all.set(key, make);
    return all;
  }

  /** All modules below this one by dotted name, depth first. A module that is registered twice comes twice. */
  namedModules(prefix = ''): [string, Module][] {
    return this.allParts().flatMap(([name, module]): [string, Module][] => [
      [prefix + name, module],
      ...module.namedModules(`${prefix}${name}.`),
    ]);
  }

  /** Distinct trainable variables, each under its first name. */
  trainableParameters(): Map<string, tf.Variable> {
    const seen = new Set<tf.Variable>();
    const result = new Map<string, tf.Variable>();
    for (const [name, { variable, trainable }] of this.namedParameters()) {
      if (!trainable || seen.has(variable)) continue;
      seen.add(variable);
      result.set(name, variable);
    }
    return result;
  }

  /** Number of trainable values. */
  parameterCount(): number {
    let count = 0;
    for (const variable of this.trainableParameters().values()) count += variable.size;
    return count;
  }

  /** Frees every variable, and what else a module and its parts keep. The module is unusable afterwards. */
  dispose(): void {
    for (const { variable } of this.ownParameters.values()) if (!variable.isDisposed) variable.dispose();
    for (const [, module] of this.allParts()) module.dispose();
  }

  /** Children and borrowed modules. */
  private allParts(): [string, Module][] {
    return [...this.childModules, ...this.borrowedModules];
  }
}
