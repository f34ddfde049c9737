// SPDX-License-Identifier: Apache-2.0
import type { CommandRow } from './command.js';

export type { Command, CommandRow, Flags } from './command.js';

/** Every command, in the order of the help text. A new command is a file and a row here. */
export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'train',
    usage: 'train',
    about: 'Train a detector, or continue a run',
    load: async () => (await import('./train.js')).train,
  },
  {
    name: 'eval',
    usage: 'eval [model]',
    about: 'Evaluate a model: AP, AP50 by form of sentence, and what it finds with the wrong sentence',
    load: async () => (await import('./eval.js')).evaluate,
  },
  {
    name: 'detect',
    usage: 'detect <image>',
    about: 'Find what a sentence names in a picture; boxes in pixels and on the map',
    load: async () => (await import('./detect.js')).detect,
  },
  {
    name: 'export',
    usage: 'export [model]',
    about: 'Write a detector as a SavedModel for TensorFlow Serving, and check it',
    load: async () => (await import('./export.js')).exportCommand,
  },
  {
    name: 'check',
    usage: 'check <folder>',
    about: 'Run the examples that an exported model carries and compare its answers',
    load: async () => (await import('./check.js')).check,
  },
  {
    name: 'serve',
    usage: 'serve <folder>',
    about: "Serve an exported model with TensorFlow Serving's REST interface, for development and tests",
    load: async () => (await import('./serve.js')).serve,
  },
  {
    name: 'scenes',
    usage: 'scenes <folder>',
    about: 'Write made scenes with sentences as PNG and COCO/MDETR JSON',
    load: async () => (await import('./scenes.js')).scenes,
  },
  {
    name: 'inspect',
    usage: 'inspect <data>',
    about: 'Say what is in a dataset or in weights, and what is wrong with it',
    load: async () => (await import('./inspect.js')).inspect,
  },
  {
    name: 'convert',
    usage: 'convert <in> <out>',
    about: 'Turn published weights into a model folder, or a model back into published weights',
    load: async () => (await import('./convert.js')).convert,
  },
  {
    name: 'models',
    usage: 'models [names..]',
    about:
      'List what can be built by name: parameters, operations for a picture, and the figure it is meant to reach',
    load: async () => (await import('./models.js')).models,
  },
  {
    name: 'profile',
    usage: 'profile [model]',
    about: 'Say where the time of a prediction or a training step goes: by op, by module and by node',
    load: async () => (await import('./profile.js')).profile,
  },
  {
    name: 'setup',
    usage: 'setup',
    about: 'Get TensorFlow and compile the native parts; does nothing when all is there',
    load: async () => (await import('./setup.js')).setupCommand,
  },
  {
    name: 'doctor',
    usage: 'doctor',
    about: 'Say which engine runs here, with which libraries and devices, and why',
    load: async () => (await import('./doctor.js')).doctorCommand,
  },
];
