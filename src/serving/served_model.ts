// SPDX-License-Identifier: Apache-2.0
import { type HostTensor, SavedModelSession } from '../engine/index.js';
import { EXIT_CODES, UserError } from '../errors.js';
import { type Example, readExamples, readSavedModel, type SignatureDef } from '../export/index.js';
import { Batcher, type BatchLimits, type Tensors } from './batcher.js';
import type { FoundModel } from './model_folder.js';
import { RequestError } from './request_error.js';
import { checkInputs, readSignature, type ServedSignature } from './signature.js';

/** Signature of requests that name none. */
export const DEFAULT_SIGNATURE = 'serving_default';

/** An open SavedModel that answers requests. */
export class ServedModel {
  private readonly batcher: Batcher;

  private constructor(
    readonly name: string,
    readonly version: string,
    private readonly session: SavedModelSession,
    /** As the SavedModel has them. */
    readonly definitions: ReadonlyMap<string, SignatureDef>,
    private readonly signatures: ReadonlyMap<string, ServedSignature>,
    limits: BatchLimits,
  ) {
    this.batcher = new Batcher(limits, (signature, inputs) => this.run(this.signature(signature), inputs));
  }

  /**
   * Opens a SavedModel and runs its warm-up requests. Engine `tensorflow` must be ready.
   * @throws UserError if it cannot be opened
   */
  static async open({ name, version, folder }: FoundModel, limits: BatchLimits): Promise<ServedModel> {
    const { signatures: definitions } = await readSavedModel(folder);
    let model: ServedModel | null = null;
    try {
      const signatures = new Map([...definitions].map(([key, each]) => [key, readSignature(key, each)]));
      const session = SavedModelSession.open(folder);
      model = new ServedModel(name, version, session, definitions, signatures, limits);
      for (const example of await readExamples(folder)) await model.warmUp(example);
      return model;
    } catch (error) {
      model?.close();
      throw new UserError(`${folder} cannot be served: ${(error as Error).message}`, EXIT_CODES.checkpoint);
    }
  }

  /** @throws RequestError (400) for a signature that the model does not have */
  signature(name: string): ServedSignature {
    const found = this.signatures.get(name);
    if (found) return found;
    const known = [...this.signatures.keys()].join(', ');
    throw new RequestError(400, `the model has no signature "${name}"; it has ${known}`);
  }

  /**
   * @param cancelled whether nobody waits for the answer any more
   * @throws RequestError (400) for inputs that do not fit the signature or that TensorFlow refuses
   */
  async predict(
    signature: ServedSignature,
    inputs: ReadonlyMap<string, HostTensor>,
    cancelled?: () => boolean,
  ): Promise<Tensors> {
    checkInputs(signature, inputs);
    try {
      return await this.batcher.submit(signature.name, inputs, signature.batched, cancelled);
    } catch (error) {
      if ((error as { code?: string }).code !== 'TFGEO_INVALID') throw error;
      throw new RequestError(400, (error as Error).message);
    }
  }

  /** Closes it; runs that are under way come to their end. */
  close(): void {
    this.session.close();
  }

  private async warmUp({ signature, inputs }: Example): Promise<void> {
    await this.run(this.signature(signature || DEFAULT_SIGNATURE), inputs);
  }

  private async run(signature: ServedSignature, inputs: Tensors): Promise<Tensors> {
    const fed = new Map(signature.inputs.map(({ name, tensor }) => [tensor, inputs.get(name)!]));
    const results = await this.session.run(
      fed,
      signature.outputs.map(({ tensor }) => tensor),
    );
    return new Map(signature.outputs.map(({ name }, i) => [name, results[i]!]));
  }
}
