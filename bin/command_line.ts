// SPDX-License-Identifier: Apache-2.0
import yargs from 'yargs';
import { didYouMean, EXIT_CODES, UserError } from '../src/errors.js';
import { COMMANDS } from './commands/index.js';
import { packageVersion } from './package_version.js';

/**
 * Parses, runs, and turns what went wrong into one line and an exit code (see docs/cli.md).
 * @param args as typed, without the program
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    return await parseAndRun(args);
  } catch (error) {
    if (error instanceof UserError) {
      process.stderr.write(`tfgeo-train: ${error.message}\n`);
      return error.exitCode;
    }
    process.stderr.write(`tfgeo-train: ${error instanceof Error ? error.stack : String(error)}\n`);
    process.stderr.write('This is a fault in tfgeo; please report it with the lines above.\n');
    return EXIT_CODES.internal;
  }
}

async function parseAndRun(args: readonly string[]): Promise<number> {
  let code: number = EXIT_CODES.ok;
  const parser = yargs([...args])
    .scriptName('tfgeo-train')
    .usage('$0 <command> [options]\n\nText-conditioned object detection in overhead imagery.')
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .strict()
    .recommendCommands()
    .demandCommand(1, 'Say what to do; "tfgeo-train --help" lists the commands.')
    .parserConfiguration({ 'strip-aliased': true, 'duplicate-arguments-array': false })
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UserError(explain(message, args));
    });
  for (const command of COMMANDS) {
    parser.command(
      command.usage,
      command.about,
      (builder) => {
        for (const [name, options] of Object.entries(command.positionals ?? {}))
          builder.positional(name, options);
        return builder.options(command.options);
      },
      async (flags) => {
        code = await command.run(flags);
      },
    );
  }
  await parser.parseAsync();
  return code;
}

/** yargs says "Unknown argument: x"; say which flag was probably meant. */
function explain(message: string, args: readonly string[]): string {
  const unknown = /^Unknown arguments?: ([^,]+)/.exec(message)?.[1]?.trim();
  if (!unknown) return message.split('\n')[0]!;
  const command = COMMANDS.find(({ name }) => args.includes(name));
  const known = Object.keys(command?.options ?? {});
  const guess = didYouMean(unknown, known);
  const where = command ? `; "tfgeo-train ${command.name} --help" lists all flags` : '';
  return guess
    ? `unknown flag --${unknown}, did you mean --${guess}?`
    : `unknown flag or word "${unknown}"${where}`;
}
