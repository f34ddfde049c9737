// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from 'node:fs/promises';

/** read(2) takes at most 2 GiB at a time. */
const LARGEST_READ = 1 << 30;

/** A file read in pieces. Nothing is allocated before it is known that the file has that many bytes. */
export class FileReader {
  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly file: FileHandle,
  ) {}

  /** @throws the system's error if the file cannot be opened */
  static async open(path: string): Promise<FileReader> {
    const file = await open(path, 'r');
    try {
      return new FileReader(path, (await file.stat()).size, file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Opens a file for as long as `use` runs. */
  static async using<R>(path: string, use: (reader: FileReader) => Promise<R>): Promise<R> {
    const reader = await FileReader.open(path);
    try {
      return await use(reader);
    } finally {
      await reader.close();
    }
  }

  /**
   * The bytes from `position` on, in memory of their own.
   * @throws Error naming the file if it ends before
   */
  async read(position: number, length: number): Promise<Buffer> {
    if (!(position >= 0 && length >= 0 && position + length <= this.size)) {
      throw new Error(
        `${this.path} is cut short: bytes ${position} to ${position + length} are needed, it has ${this.size}`,
      );
    }
    const bytes = Buffer.allocUnsafeSlow(length);
    for (let done = 0; done < length; ) {
      const wanted = Math.min(length - done, LARGEST_READ);
      const { bytesRead } = await this.file.read(bytes, done, wanted, position + done);
      if (bytesRead === 0) throw new Error(`${this.path} became shorter while it was read`);
      done += bytesRead;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
