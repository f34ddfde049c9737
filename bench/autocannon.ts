// SPDX-License-Identifier: Apache-2.0
import { createRequire } from 'node:module';

/** Figures of one quantity over a run. */
interface Histogram {
  average: number;
  total: number;
  p50: number;
  p99: number;
}

export interface LoadRequest {
  method: 'GET' | 'POST';
  path: string;
  body?: string;
  onResponse?: (status: number, body: string) => void;
}

export interface LoadResult {
  errors: number;
  timeouts: number;
  non2xx: number;
  requests: Histogram;
  /** Milliseconds. */
  latency: Histogram;
}

interface LoadOptions {
  url: string;
  connections: number;
  amount: number;
  requests: LoadRequest[];
  /** Called for each client before it begins. */
  setupClient?: (client: { setRequests(requests: LoadRequest[]): void }) => void;
  /** Seconds until a request counts as lost. */
  timeout?: number;
}

/** autocannon, as far as the benches use it; the package has no types of its own. */
export const autocannon = createRequire(import.meta.url)('autocannon') as (
  options: LoadOptions,
) => Promise<LoadResult>;
