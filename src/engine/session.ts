// SPDX-License-Identifier: Apache-2.0
import { type TensorValues, TF_DTYPE, type TfDtypeName } from './binding.js';
import { nativeBinding } from './run_op.js';

/** A tensor outside TensorFlow: its values as a typed array, or one Uint8Array for each string. */
export interface HostTensor {
  dtype: TfDtypeName;
  shape: readonly number[];
  values: TensorValues;
}

const NAMES = new Map(
  Object.entries(TF_DTYPE).map(([name, dtype]) => [dtype as number, name as TfDtypeName]),
);

/** The name of TensorFlow's DataType number. @throws Error for types that no tensor of ours can have */
export function dtypeName(dtype: number): TfDtypeName {
  const name = NAMES.get(dtype);
  if (name === undefined) throw new Error(`TensorFlow's type ${dtype} is not supported`);
  return name;
}

/**
 * A SavedModel opened through TensorFlow's session, as TensorFlow Serving opens it. Runs do not block JavaScript, and
 * several may be under way. Engine `tensorflow` must be ready.
 */
export class SavedModelSession {
  private constructor(private readonly id: number) {}

  /**
   * @param folder holds `saved_model.pb`
   * @throws Error with TensorFlow's message
   */
  static open(folder: string, tags: readonly string[] = ['serve']): SavedModelSession {
    return new SavedModelSession(nativeBinding().loadSavedModel(folder, tags.join(',')));
  }

  /**
   * @param inputs values by the name of a tensor of the graph (`node:0`)
   * @param outputs names of the tensors that are wanted
   */
  async run(inputs: ReadonlyMap<string, HostTensor>, outputs: readonly string[]): Promise<HostTensor[]> {
    const fed = [...inputs].map(([name, { dtype, shape, values }]) => ({
      name,
      dtype: TF_DTYPE[dtype],
      shape: [...shape],
      value: values,
    }));
    const results = await nativeBinding().runSession(this.id, fed, outputs);
    return results.map(({ dtype, shape, value }) => ({ dtype: dtypeName(dtype), shape, values: value }));
  }

  /** Closes it; runs that are under way come to their end. */
  close(): void {
    nativeBinding().deleteSavedModel(this.id);
  }
}
