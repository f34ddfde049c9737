// SPDX-License-Identifier: Apache-2.0
import { EXIT_CODES, UserError } from '../../errors.js';

/** A value in a JSON document that knows its file and its place, so that every complaint names both. */
export class JsonNode {
  constructor(
    readonly value: unknown,
    readonly path: string,
    readonly file: string,
  ) {}

  /** @throws UserError with file, place and `message`. */
  fail(message: string): never {
    const place = this.path === '' ? '' : ` at ${this.path}`;
    throw new UserError(`${this.file}${place}: ${message}`, EXIT_CODES.data);
  }

  get isNull(): boolean {
    return this.value === null || this.value === undefined;
  }

  /** Field `name` of an object; its value may be undefined. */
  field(name: string): JsonNode {
    const path = this.path === '' ? name : `${this.path}.${name}`;
    return new JsonNode(this.object()[name], path, this.file);
  }

  /** The same, or null where it is absent or null. */
  optional(name: string): JsonNode | null {
    const field = this.field(name);
    return field.isNull ? null : field;
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.isNull || Array.isArray(this.value)) {
      this.fail(`expected an object but found ${kindOf(this.value)}`);
    }
    return this.value as Record<string, unknown>;
  }

  items(): JsonNode[] {
    if (!Array.isArray(this.value)) this.fail(`expected a list but found ${kindOf(this.value)}`);
    return (this.value as unknown[]).map((item, i) => new JsonNode(item, `${this.path}[${i}]`, this.file));
  }

  string(): string {
    if (typeof this.value !== 'string') this.fail(`expected a string but found ${kindOf(this.value)}`);
    return this.value as string;
  }

  /** A whole number that is not negative. */
  count(): number {
    if (!Number.isSafeInteger(this.value) || (this.value as number) < 0) {
      this.fail(`expected a whole number from 0 but found ${kindOf(this.value)}`);
    }
    return this.value as number;
  }

  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) {
      this.fail(`expected a number but found ${kindOf(this.value)}`);
    }
    return this.value as number;
  }

  boolean(otherwise: boolean): boolean {
    if (this.isNull) return otherwise;
    if (typeof this.value !== 'boolean') this.fail(`expected true or false but found ${kindOf(this.value)}`);
    return this.value as boolean;
  }

  /** The row of `table` that field `type` names. */
  choose<T>(table: Readonly<Record<string, T>>, what: string): T {
    const type = this.field('type').string();
    if (!Object.hasOwn(table, type)) {
      this.fail(`${what} '${type}' is not supported; supported: ${Object.keys(table).join(', ')}`);
    }
    return table[type]!;
  }
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  return typeof value === 'object' ? 'an object' : String(value);
}
