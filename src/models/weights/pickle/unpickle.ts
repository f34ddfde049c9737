// SPDX-License-Identifier: Apache-2.0
import { type ArgumentValue, type Instruction, PickleError, type PickleInput } from './input.js';
import type { OpcodeName } from './opcodes.js';
import { type PickleGlobal, PickleObject, PickleTuple } from './values.js';

export interface UnpickleOptions {
  /** What a pickle may name, by `module.name`. Anything else is refused. */
  globals: ReadonlyMap<string, PickleGlobal>;
  /** What a persistent identifier stands for. */
  persistent(id: unknown): unknown;
}

/** Where items of a list or dict begin. */
const MARK = Symbol('mark');

/** Entries that calls may copy: a pickle could ask for the same copy again and again. */
const MOST_COPIED = 1_000_000;

/** The longest whole number, in bytes. */
const LONGEST_NUMBER = 128;

/**
 * Reads one pickle. It is a small stack machine that makes data only: lists, dicts (`Map`), sets, texts, numbers, and
 * what the functions in `globals` make. Nothing that the pickle names is run.
 * @throws PickleError naming the opcode, and the global where one is not in `globals`
 */
export function unpickle(input: PickleInput, options: UnpickleOptions): unknown {
  const machine = new Machine(options);
  for (;;) {
    const instruction = input.next();
    if (instruction.name === 'STOP') return machine.result(instruction);
    machine.run(instruction);
  }
}

class Machine {
  private readonly stack: unknown[] = [];
  private readonly memo = new Map<number, unknown>();
  private copied = 0;
  private current: Instruction = { name: 'STOP', argument: 'none', value: null, at: 0 };

  constructor(private readonly options: UnpickleOptions) {}

  run(instruction: Instruction): void {
    this.current = instruction;
    const action = ACTIONS[instruction.name];
    if (!action) this.fail('is refused: weights have no use for it');
    action(this, instruction.value);
  }

  result(stop: Instruction): unknown {
    this.current = stop;
    return this.pop();
  }

  fail(what: string): never {
    throw new PickleError(`opcode ${this.current.name} at byte ${this.current.at} ${what}`);
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length === 0) this.fail('takes a value from an empty stack');
    const value = this.stack.pop();
    if (value === MARK) this.fail('takes a value where a mark is');
    return value;
  }

  top(): unknown {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  mark(): void {
    this.stack.push(MARK);
  }

  /** Everything above the last mark, which goes too. */
  popMark(): unknown[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) this.fail('needs a mark');
    const items = this.stack.splice(at);
    items.shift();
    return items;
  }

  put(index: number): void {
    this.memo.set(index, this.top());
  }

  memoize(): void {
    this.put(this.memo.size);
  }

  get(index: number): void {
    if (!this.memo.has(index)) this.fail(`asks for entry ${index} of the memo, which is not there`);
    this.push(this.memo.get(index));
  }

  global(module: unknown, name: unknown): void {
    if (typeof module !== 'string' || typeof name !== 'string')
      this.fail('needs the names of a module and a global');
    const found = this.options.globals.get(`${module}.${name}`);
    if (!found)
      this.fail(`asks for ${module}.${name}, which is not among the things that weights consist of`);
    this.push(found);
  }

  /** Calls one of the functions of `globals`. */
  call(args: unknown): void {
    const callee = this.pop() as PickleGlobal | null;
    if (typeof callee !== 'object' || typeof callee?.call !== 'function' || !(args instanceof PickleTuple)) {
      const name =
        typeof callee === 'object' && callee !== null && 'name' in callee ? callee.name : typeof callee;
      this.fail(`calls ${name}, which cannot be called`);
    }
    try {
      const result = callee.call(args.items);
      if (result instanceof Map || result instanceof Set) this.copied += result.size;
      if (this.copied > MOST_COPIED) this.fail(`has copied more than ${MOST_COPIED} entries`);
      this.push(result);
    } catch (error) {
      if (error instanceof PickleError) this.fail(`calls ${callee.name}: ${error.message}`);
      throw error;
    }
  }

  persistent(id: unknown): void {
    try {
      this.push(this.options.persistent(id));
    } catch (error) {
      if (error instanceof PickleError) this.fail(error.message);
      throw error;
    }
  }

  append(items: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail('needs a list');
    for (const item of items) list.push(item);
  }

  add(items: readonly unknown[]): void {
    const set = this.top();
    if (!(set instanceof Set)) this.fail('needs a set');
    for (const item of items) set.add(item);
  }

  setItems(items: readonly unknown[]): void {
    const map = this.top();
    if (!(map instanceof Map)) this.fail('needs a dict');
    this.fill(map, items);
  }

  fill(map: Map<unknown, unknown>, items: readonly unknown[]): void {
    if (items.length % 2 !== 0) this.fail('has a key without a value');
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  }

  /** Gives an object its attributes; those of containers say nothing about their contents. */
  build(): void {
    const state = this.pop();
    const target = this.top();
    if (!(target instanceof PickleObject)) return;
    const parts = state instanceof PickleTuple ? state.items : [state];
    for (const part of parts) {
      if (!(part instanceof Map)) continue;
      for (const [name, value] of part) if (typeof name === 'string') target.fields.set(name, value);
    }
  }
}

type Action = (machine: Machine, value: ArgumentValue) => void;

const constant =
  (make: () => unknown): Action =>
  (machine) =>
    machine.push(make());

const pushed =
  (read: (value: ArgumentValue, machine: Machine) => unknown): Action =>
  (machine, value) =>
    machine.push(read(value, machine));

const tuple =
  (size: number): Action =>
  (machine) => {
    const items = Array.from({ length: size }, () => machine.pop()).reverse();
    machine.push(new PickleTuple(items));
  };

const asNumber = (value: ArgumentValue) => value as number;
const asText = (value: ArgumentValue) => (value as Buffer).toString('utf8');
const asLine = (value: ArgumentValue) => (value as readonly string[])[0]!;
const asBytes = (value: ArgumentValue) => Uint8Array.from(value as Buffer);

/** Little-endian, two's complement. */
function wholeNumber(value: ArgumentValue, machine: Machine): number | bigint {
  const bytes = value as Buffer;
  if (bytes.length > LONGEST_NUMBER) machine.fail(`holds a number of ${bytes.length} bytes`);
  if (bytes.length === 0) return 0;
  const unsigned = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  return narrow(BigInt.asIntN(8 * bytes.length, unsigned));
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function decimal(value: ArgumentValue, machine: Machine): number | bigint | boolean {
  const text = asLine(value).replace(/L$/, '');
  if (text === '00' || text === '01') return text === '01';
  if (!/^[+-]?\d{1,300}$/.test(text)) machine.fail(`holds ${JSON.stringify(text)}, which is no whole number`);
  return narrow(BigInt(text));
}

function floating(value: ArgumentValue, machine: Machine): number {
  const text = asLine(value);
  const number = text === 'nan' ? Number.NaN : Number(text.replace('inf', 'Infinity'));
  if (Number.isNaN(number) && text !== 'nan')
    machine.fail(`holds ${JSON.stringify(text)}, which is no number`);
  return number;
}

function index(value: ArgumentValue, machine: Machine): number {
  const number = decimal(value, machine);
  return typeof number === 'number' ? number : machine.fail('has no sound index');
}

/** The text between the quotes of a Python string; escapes stay as they are. */
function quoted(value: ArgumentValue, machine: Machine): string {
  const text = asLine(value);
  if (!/^(['"]).*\1$/.test(text) || text.length < 2) machine.fail('holds a text without quotes');
  return text.slice(1, -1);
}

/** What each opcode does. Those that are missing are refused. */
const ACTIONS: Readonly<Partial<Record<OpcodeName, Action>>> = {
  PROTO: (machine, value) => {
    if (asNumber(value) > 5) machine.fail(`says protocol ${value}; 0 to 5 are known`);
  },
  FRAME: () => undefined,
  MARK: (machine) => machine.mark(),
  POP: (machine) => void machine.pop(),
  POP_MARK: (machine) => void machine.popMark(),
  DUP: (machine) => machine.push(machine.top()),
  NONE: constant(() => null),
  NEWTRUE: constant(() => true),
  NEWFALSE: constant(() => false),
  INT: pushed(decimal),
  LONG: pushed(decimal),
  FLOAT: pushed(floating),
  BININT: pushed(asNumber),
  BININT1: pushed(asNumber),
  BININT2: pushed(asNumber),
  BINFLOAT: pushed(asNumber),
  LONG1: pushed(wholeNumber),
  LONG4: pushed(wholeNumber),
  STRING: pushed(quoted),
  UNICODE: pushed(asLine),
  BINSTRING: pushed(asText),
  SHORT_BINSTRING: pushed(asText),
  BINUNICODE: pushed(asText),
  SHORT_BINUNICODE: pushed(asText),
  BINUNICODE8: pushed(asText),
  BINBYTES: pushed(asBytes),
  SHORT_BINBYTES: pushed(asBytes),
  BINBYTES8: pushed(asBytes),
  BYTEARRAY8: pushed(asBytes),
  EMPTY_LIST: constant(() => []),
  EMPTY_DICT: constant(() => new Map()),
  EMPTY_SET: constant(() => new Set()),
  EMPTY_TUPLE: constant(() => new PickleTuple([])),
  TUPLE: (machine) => machine.push(new PickleTuple(machine.popMark())),
  TUPLE1: tuple(1),
  TUPLE2: tuple(2),
  TUPLE3: tuple(3),
  LIST: (machine) => machine.push(machine.popMark()),
  DICT: (machine) => {
    const items = machine.popMark();
    const map = new Map();
    machine.fill(map, items);
    machine.push(map);
  },
  FROZENSET: (machine) => machine.push(new Set(machine.popMark())),
  APPEND: (machine) => machine.append([machine.pop()]),
  APPENDS: (machine) => machine.append(machine.popMark()),
  ADDITEMS: (machine) => machine.add(machine.popMark()),
  SETITEM: (machine) => {
    const value = machine.pop();
    machine.setItems([machine.pop(), value]);
  },
  SETITEMS: (machine) => machine.setItems(machine.popMark()),
  GET: (machine, value) => machine.get(index(value, machine)),
  BINGET: (machine, value) => machine.get(asNumber(value)),
  LONG_BINGET: (machine, value) => machine.get(asNumber(value)),
  PUT: (machine, value) => machine.put(index(value, machine)),
  BINPUT: (machine, value) => machine.put(asNumber(value)),
  LONG_BINPUT: (machine, value) => machine.put(asNumber(value)),
  MEMOIZE: (machine) => machine.memoize(),
  GLOBAL: (machine, value) => {
    const [module, name] = value as readonly string[];
    machine.global(module, name);
  },
  STACK_GLOBAL: (machine) => {
    const name = machine.pop();
    machine.global(machine.pop(), name);
  },
  REDUCE: (machine) => machine.call(machine.pop()),
  NEWOBJ: (machine) => machine.call(machine.pop()),
  BUILD: (machine) => machine.build(),
  PERSID: (machine, value) => machine.persistent(asLine(value)),
  BINPERSID: (machine) => machine.persistent(machine.pop()),
};
