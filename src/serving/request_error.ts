// SPDX-License-Identifier: Apache-2.0

/** A request that is answered with an error; the server goes on. */
export class RequestError extends Error {
  override readonly name = 'RequestError';

  /** @param status of HTTP */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}
