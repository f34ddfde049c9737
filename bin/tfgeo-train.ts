#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { hideBin } from 'yargs/helpers';
import { runCommandLine } from './command_line.js';

// `tfgeo-train ... | head` closes the pipe early: nothing is wrong, and nobody reads on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

process.exitCode = await runCommandLine(hideBin(process.argv));
