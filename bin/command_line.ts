// SPDX-License-Identifier: Apache-2.0
import yargs from 'yargs';
import { didYouMean, EXIT_CODES, UserError } from '../src/errors.js';
import { packageVersion } from '../src/package.js';
import { COMMANDS, type Command, type CommandRow, type Flags } from './commands/index.js';

const PROGRAM = 'tfgeo-train';

/**
 * Parses, runs, and turns what went wrong into one line and an exit code (see docs/cli.md).
 * @param args as typed, without the program
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    return await parseAndRun(args);
  } catch (error) {
    if (error instanceof UserError) {
      process.stderr.write(`${PROGRAM}: ${error.message}\n`);
      return error.exitCode;
    }
    process.stderr.write(`${PROGRAM}: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.stderr.write('This is a fault in tfgeo; please report it with the lines above.\n');
    return EXIT_CODES.internal;
  }
}

async function parseAndRun(args: readonly string[]): Promise<number> {
  const chosen = chooseCommand(args);
  const command = chosen === null ? null : await chosen.load();
  let code: number = EXIT_CODES.ok;
  const parser = yargs([...args])
    .scriptName(PROGRAM)
    .usage('$0 <command> [options]\n\nText-conditioned object detection in overhead imagery.')
    .epilogue(`"$0 <command> --help" lists a command's flags.`)
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .strict()
    .parserConfiguration({
      'strip-aliased': true,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
    })
    .exitProcess(false)
    .fail((message, error) => {
      // yargs' own complaints come as a message or as an error of its own kind.
      if (error && error.name !== 'YError') throw error;
      throw new UserError(explain(error?.message ?? message, args, chosen, command));
    });
  for (const row of COMMANDS) {
    const loaded = row === chosen ? command : null;
    parser.command(
      row.usage,
      row.about,
      (builder) => {
        for (const [name, options] of Object.entries(loaded?.positionals ?? {}))
          builder.positional(name, options);
        return builder.options(loaded?.options ?? {}).epilogue('');
      },
      async (flags) => {
        code = (await loaded?.run(lastOnes(flags, loaded))) ?? EXIT_CODES.internal;
      },
    );
  }
  await parser.parseAsync();
  return code;
}

/** A flag that is given twice counts as the last one says, unless it is a list. */
function lastOnes(flags: Flags, { options, positionals }: Command): Flags {
  const isList = (name: string) => (options[name] ?? positionals?.[name])?.array === true;
  const single = (name: string, value: unknown) => Array.isArray(value) && !isList(name);
  return Object.fromEntries(
    Object.entries(flags).map(([name, value]) => [
      name,
      name !== '_' && single(name, value) ? (value as unknown[]).at(-1) : value,
    ]),
  );
}

/**
 * The command that is asked for: the first word. Null when only `--help` or `--version` is.
 * @throws UserError when there is none, or no such
 */
function chooseCommand([first, ...rest]: readonly string[]): CommandRow | null {
  if (first === undefined)
    throw new UserError(`say what to do: "${PROGRAM} --help" lists the commands, e.g. ${PROGRAM} doctor`);
  const names = COMMANDS.map(({ name }) => name);
  const row = COMMANDS.find(({ name }) => name === first);
  if (row) return row;
  if (['--help', '-h', '--version'].includes(first)) return null;
  if (first.startsWith('-')) {
    const where = rest.find((word) => names.includes(word)) ?? 'train';
    throw new UserError(`the command comes before its flags: ${PROGRAM} ${where} ${first} ...`);
  }
  const guess = didYouMean(first, names);
  throw new UserError(
    guess
      ? `unknown command "${first}", did you mean "${guess}"?`
      : `unknown command "${first}"; known are ${names.join(', ')}`,
  );
}

/** What yargs refuses, in one line that says what to type instead. */
function explain(
  message: string,
  args: readonly string[],
  row: CommandRow | null,
  command: Command | null,
): string {
  const where = row ? `; see ${PROGRAM} ${row.name} --help` : '';
  const unknown = /^Unknown (?:argument|command)s?: ([^,]+)/.exec(message)?.[1]?.trim();
  // yargs asks for required flags first; a misspelt one is both missing and unknown.
  const misspelt = message.startsWith('Missing required') ? misspeltFlag(args, command) : undefined;
  const word = unknown ?? misspelt;
  if (word !== undefined) return explainUnknown(word, args, command) + where;
  const choice = /Argument: (\S+), Given: "?(.*?)"?, Choices: (.*)/.exec(message);
  if (choice) return explainChoice(choice[1]!, choice[2]!, choice[3]!);
  const valueless = /^Not enough arguments following: (\S+)/.exec(message)?.[1];
  if (valueless !== undefined) return `--${valueless} needs a value${where}`;
  const missing = /^Missing required arguments?: (.*)/.exec(message)?.[1];
  if (missing !== undefined) {
    return `${missing
      .split(', ')
      .map((name) => `--${name}`)
      .join(' and ')} must be given${where}`;
  }
  if (message.startsWith('Not enough non-option arguments'))
    return `usage: ${PROGRAM} ${row?.usage ?? '<command>'}${where}`;
  return message.split('\n')[0]! + where;
}

/** A flag or word that the command does not know; `--no-x` is the flag `x`. */
function explainUnknown(word: string, args: readonly string[], command: Command | null): string {
  if (!args.some((arg) => flagIn(arg) === word)) return `unexpected word "${word}"`;
  const guess = didYouMean(word, Object.keys(command?.options ?? {}));
  return `unknown flag --${word}${guess ? `, did you mean --${guess}?` : ''}`;
}

function misspeltFlag(args: readonly string[], command: Command | null): string | undefined {
  const options = Object.entries(command?.options ?? {});
  const known = new Set([...options.flatMap(([name, { alias }]) => [name, alias]), 'help', 'h', 'version']);
  return args.map(flagIn).find((name) => name !== null && !known.has(name)) ?? undefined;
}

/** `x` of `--x`, `-x`, `--x=1` and `--no-x`; null for other words. */
function flagIn(arg: string): string | null {
  return /^--?(?:no-)?([a-z][\w-]*)/i.exec(arg)?.[1] ?? null;
}

function explainChoice(flag: string, given: string, choices: string): string {
  const known = [...choices.matchAll(/"([^"]*)"/g)].map(([, name]) => name!);
  const guess = didYouMean(given, known);
  return `--${flag} must be one of ${known.join(', ')}, but it is "${given}"${guess ? `; did you mean "${guess}"?` : ''}`;
}
