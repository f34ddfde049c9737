// SPDX-License-Identifier: Apache-2.0
import { request } from 'node:http';
import { connect } from 'node:net';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The parsed text. */
  json: unknown;
}

/** One request, its path sent exactly as it is given. */
export function ask(
  url: string,
  method = 'GET',
  body: string | Uint8Array = '',
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [, host, port, path] = /^http:\/\/([^/:]+):(\d+)(.*)$/.exec(url)!;
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text,
          json: text === '' ? null : JSON.parse(text),
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Sends bytes as they are and gives what comes back until the server or the caller ends the connection. */
export function askRaw(url: string, bytes: string, hangUpAfterMs?: number): Promise<string> {
  const [, host, port] = /^http:\/\/([^/:]+):(\d+)/.exec(url)!;
  return new Promise((resolve) => {
    const socket = connect(Number(port), host!);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    socket.write(bytes);
    if (hangUpAfterMs !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpAfterMs);
  });
}
