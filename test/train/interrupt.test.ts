// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { watchInterrupt } from '../../src/train/interrupt.js';

afterEach(() => {
  jest.restoreAllMocks();
});

describe('watchInterrupt', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'asks on the first %s, ends the process on the second',
    (signal) => {
      const exit = jest.spyOn(process, 'exit').mockImplementation((() => undefined) as never);
      const before = process.listenerCount(signal);
      let told = 0;
      const interrupt = watchInterrupt(() => {
        told++;
      });
      expect(interrupt.requested).toBe(false);
      process.emit(signal);
      expect([interrupt.requested, told, exit.mock.calls.length]).toEqual([true, 1, 0]);
      process.emit(signal);
      expect(told).toBe(1);
      expect(exit).toHaveBeenCalledWith(130);
      interrupt.release();
      expect(process.listenerCount(signal)).toBe(before);
    },
  );
});
