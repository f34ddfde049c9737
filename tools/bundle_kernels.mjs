// SPDX-License-Identifier: Apache-2.0
// Bundles the JavaScript half of @tensorflow/tfjs-node-gpu (its backend class, its kernels and its SavedModel reader;
// never its index.js, which loads its own binary) into dist/vendor/tfjs_node_kernels.cjs, so that nobody who installs
// tfgeo gets that package or its install script.
// @tensorflow/tfjs stays outside: there must be one instance of it, the user's.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const out = join(root, 'dist', 'vendor');
const source = dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));
const version = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')).version;

/** Modules of the package that are bundled, by the name they are exported under. */
const MODULES = {
  backend: 'nodejs_kernel_backend.js',
  savedModel: 'saved_model.js',
};

const entry = [
  ...Object.entries(MODULES).map(
    ([name, file]) => `exports.${name} = require(${JSON.stringify(join(source, 'dist', file))});`,
  ),
  `exports.registerKernels = () => require(${JSON.stringify(join(source, 'dist', 'register_all_kernels.js'))});`,
].join('\n');

/** Node 23 removed functions of `util` that the kernels call; they are given back to them only. */
const utilShim = `const util = require('node:util');
module.exports = Object.assign(Object.create(util), {
  isNullOrUndefined: (x) => x === null || x === undefined,
  isArray: Array.isArray,
});`;

const shims = {
  name: 'shims',
  setup(context) {
    context.onResolve({ filter: /^util$/ }, () => ({ path: 'util', namespace: 'shim' }));
    context.onLoad({ filter: /.*/, namespace: 'shim' }, () => ({
      contents: utilShim,
      loader: 'js',
      resolveDir: root,
    }));
    // One kernel imports the core package directly; the union package exports all of it.
    context.onResolve({ filter: /^@tensorflow\/tfjs(-core)?$/ }, () => ({
      path: '@tensorflow/tfjs',
      external: true,
    }));
  },
};

const temporary = join(out, `.bundle-${process.pid}.cjs`);
mkdirSync(out, { recursive: true });
const result = await build({
  stdin: { contents: entry, resolveDir: root, sourcefile: 'tfjs_node_kernels.js' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  outfile: temporary,
  plugins: [shims],
  legalComments: 'inline',
  logLevel: 'warning',
  metafile: true,
  banner: {
    js: `// @tensorflow/tfjs-node-gpu ${version}, its kernels and backend class. See NOTICE and LICENSE-tfjs-node.txt beside.`,
  },
});

const packages = new Set(
  Object.keys(result.metafile.inputs)
    .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
    .filter((name) => name !== undefined),
);
const expected = ['@tensorflow/tfjs-node-gpu', 'google-protobuf'];
for (const name of packages) {
  if (!expected.includes(name))
    throw new Error(`the bundle pulls in ${name}, whose licence is not accounted for`);
}

const apache = readFileSync(join(root, 'LICENSE'), 'utf8');
writeFileSync(join(out, 'LICENSE-tfjs-node.txt'), apache);
for (const file of ['LICENSE.md', 'LICENSE-asserts.md']) {
  writeFileSync(
    join(out, `google-protobuf-${file}`),
    readFileSync(join(dirname(require.resolve('google-protobuf/package.json')), file)),
  );
}
writeFileSync(
  join(out, 'NOTICE'),
  `tfjs_node_kernels.cjs contains, unchanged but for being joined into one file:

  @tensorflow/tfjs-node-gpu ${version}, Copyright Google LLC, Apache License 2.0 (LICENSE-tfjs-node.txt)
  google-protobuf ${JSON.parse(readFileSync(require.resolve('google-protobuf/package.json'), 'utf8')).version}, Copyright Google Inc., 3-clause BSD (google-protobuf-LICENSE.md)
`,
);
renameSync(temporary, join(out, 'tfjs_node_kernels.cjs'));
console.log(`dist/vendor/tfjs_node_kernels.cjs: @tensorflow/tfjs-node-gpu ${version}`);
