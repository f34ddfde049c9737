#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { hideBin } from 'yargs/helpers';
import { runCommandLine } from './command_line.js';

process.exitCode = await runCommandLine(hideBin(process.argv));
