// SPDX-License-Identifier: Apache-2.0
// Runs tfjs-core's own test suite (it is inside the package, dist/tests.js) on engine tensorflow.
//   npm run test:tfjs [-- PATTERN]     PATTERN: a regular expression on the specs' full names
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { ready } from '../src/engine/index.js';
import { EXCLUSIONS, KNOWN_FAILURES } from './tfjs_exclusions.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const pattern = new RegExp(process.argv[2] ?? '');

interface Spec {
  fullName: string;
  status: string;
  failedExpectations: { message: string }[];
}

/**
 * The suite in one file. It brings a tfjs-core of its own (as in tfjs-node's run), which shares engine, backends and
 * kernels with the program's through tfjs's global.
 */
async function bundleSuite(): Promise<string> {
  const core = dirname(require.resolve('@tensorflow/tfjs-core/package.json'));
  const outfile = join(root, 'build', 'tfjs_suite.cjs');
  mkdirSync(dirname(outfile), { recursive: true });
  const lines = [
    `import '${core}/dist/public/chained_ops/register_all_chained_ops';`,
    `import '${core}/dist/register_all_gradients';`,
    `import { setTestEnvs } from '${core}/dist/jasmine_util';`,
    "setTestEnvs([{ name: 'test-tensorflow', backendName: 'tensorflow', flags: {}, isDataSync: true }]);",
    `require('${core}/dist/tests.js');`,
  ];
  await build({
    stdin: { contents: lines.join('\n'), resolveDir: root, sourcefile: 'tfjs_suite.js' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    mainFields: ['module', 'main'],
    // The package calls its own tests free of side effects.
    ignoreAnnotations: true,
    outfile,
    external: ['jasmine-core', 'worker_threads'],
    logLevel: 'error',
  });
  return outfile;
}

const matches = (name: string, lists: typeof EXCLUSIONS) =>
  lists.some((list) => list.specs.some((spec) => name.includes(spec)));

const { tensorflow } = await ready({ engine: 'tensorflow' });
const suite = await bundleSuite();

const jasmineRequire = require('jasmine-core/lib/jasmine-core/jasmine.js');
const jasmine = jasmineRequire.core(jasmineRequire);
const env = jasmine.getEnv({ suppressLoadErrors: true });
Object.assign(globalThis, jasmineRequire.interface(jasmine, env), { jasmine });
jasmine.DEFAULT_TIMEOUT_INTERVAL = 20_000;

require(suite);
env.configure({
  random: false,
  specFilter: (spec: { getFullName(): string }) => {
    const name = spec.getFullName();
    return pattern.test(name) && !matches(name, EXCLUSIONS);
  },
});

let passed = 0;
const failed: Spec[] = [];
env.addReporter({
  specDone(spec: Spec) {
    if (spec.status === 'passed') passed++;
    else if (spec.status === 'failed') failed.push(spec);
  },
});
// The suite warns on purpose, thousands of times.
const { warn, log } = console;
console.warn = () => {};
console.log = () => {};
await env.execute();
Object.assign(console, { warn, log });

const unexpected = failed.filter((spec) => !matches(spec.fullName, KNOWN_FAILURES));
for (const spec of failed) {
  const known = unexpected.includes(spec) ? 'FAILED' : 'known to fail';
  console.log(`${known}: ${spec.fullName}\n    ${spec.failedExpectations[0]?.message.split('\n')[0] ?? ''}`);
}
const total = passed + failed.length;
console.log(`tfjs-core's suite on TensorFlow ${tensorflow!.version}: ${passed} of ${total} specs pass`);
if (total === 0) console.log('no spec was run');
// jasmine keeps timers alive.
process.exit(unexpected.length > 0 || total === 0 ? 1 : 0);
