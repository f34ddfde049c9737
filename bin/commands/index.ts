// SPDX-License-Identifier: Apache-2.0
import type { Command } from './command.js';
import { detect } from './detect.js';
import { doctorCommand } from './doctor.js';
import { evaluate } from './eval.js';
import { scenes } from './scenes.js';
import { setupCommand } from './setup.js';
import { train } from './train.js';

/** Every command, in the order of the help text. A new command is a file and a row here. */
export const COMMANDS: readonly Command[] = [train, evaluate, detect, scenes, setupCommand, doctorCommand];
