// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findBreaches } from '../tools/import_law.js';

let root = '';

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A project of these files, and what is wrong with it. */
function breachesOf(files: Record<string, string>): string[] {
  root = mkdtempSync(join(tmpdir(), 'tfgeo-law-'));
  for (const [name, text] of Object.entries({ 'src/index.ts': '', ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return findBreaches(root);
}

describe('the import law', () => {
  it('is kept by this project', () => {
    expect(findBreaches(fileURLToPath(new URL('..', import.meta.url)))).toEqual([]);
  });

  it.each([
    [
      'engine imports ops',
      'src/engine/a.ts',
      "import { x } from '../ops/b.js';",
      /engine may not import ops/,
    ],
    ['ops import models', 'src/ops/a.ts', "export * from '../models/b.js';", /ops may not import models/],
    [
      'models import geo',
      'src/models/a.ts',
      "import type { X } from '../geo/b.js';",
      /models may not import geo/,
    ],
    ['geo imports train', 'src/geo/a.ts', "await import('../train/b.js');", /geo may not import train/],
    ['geo imports viz', 'src/geo/a.ts', "import '../viz/b.js';", /geo may not import viz/],
    [
      'viz imports train',
      'src/viz/a.ts',
      "import {\n  x,\n} from '../train/b.js';",
      /viz may not import train/,
    ],
    [
      'a part imports the face',
      'src/train/a.ts',
      "import { load } from '../index.js';",
      /train may not import face/,
    ],
    [
      'the foundation imports a part',
      'src/errors.ts',
      "import { x } from './engine/a.js';",
      /foundation may not/,
    ],
    [
      'a part imports bin',
      'src/train/a.ts',
      "import { x } from '../../bin/b.js';",
      /train may not import bin/,
    ],
    [
      'bin imports what is built',
      'bin/a.ts',
      "import { x } from '../dist/src/b.js';",
      /no part of the library/,
    ],
    ['bin imports tools', 'bin/a.ts', "import { x } from '../tools/b.js';", /no part of the library/],
    [
      'kernels know TensorFlow',
      'csrc/kernels/a.cc',
      '#include "tensorflow/c/c_api.h"',
      /neither TensorFlow nor/,
    ],
    ['kernels know Node', 'csrc/kernels/a.cc', '#include <node_api.h>', /neither TensorFlow nor Node/],
  ])('sees that %s', (_, name, text, words) => {
    expect(breachesOf({ [name]: text })).toEqual([expect.stringMatching(words)]);
  });

  it('sees includes across the folders of csrc', () => {
    const files = {
      'csrc/tf/a.cc': '#include "../node/b.h"\n#include "../kernels/c.h"',
      'csrc/node/b.h': '',
    };
    const breaches = breachesOf({ ...files, 'csrc/kernels/c.h': '' });
    expect(breaches).toEqual([expect.stringContaining('csrc/tf may not include csrc/node')]);
  });

  it('sees ways around an index, contracts apart', () => {
    const breaches = breachesOf({
      'src/geo/index.ts': "export * from './raster.js';",
      'src/geo/raster.ts': "import type { A } from './types.js';",
      'src/geo/types.ts': '',
      'src/viz/a.ts': "import { r } from '../geo/raster.js';\nimport type { A } from '../geo/types.js';",
    });
    expect(breaches).toEqual(['src/viz/a.ts: imports src/geo/raster.ts around its index, src/geo/index.ts']);
  });

  it('sees cycles, those of types apart', () => {
    const breaches = breachesOf({
      'src/train/a.ts': "import { b } from './b.js';",
      'src/train/b.ts': "import { c } from './c.js';",
      'src/train/c.ts': "import { a } from './a.js';\nimport type { B } from './b.js';",
    });
    expect(breaches).toHaveLength(1);
    expect(breaches[0]).toContain('src/train/a.ts -> src/train/b.ts -> src/train/c.ts -> src/train/a.ts');
  });

  it('complains when there is nothing to check', () => {
    root = mkdtempSync(join(tmpdir(), 'tfgeo-law-'));
    expect(findBreaches(root)).toEqual([expect.stringContaining('nothing to check')]);
  });

  it('lets through what is allowed', () => {
    const breaches = breachesOf({
      'src/train/a.ts': "import { x } from '../geo/b.js';\nimport { y } from '../viz/c.js';",
      'src/viz/c.ts': "import { x } from '../geo/b.js';",
      'src/ops/a.ts': "import { x } from '../engine/b.js';\nimport { z } from '../errors.js';",
      'bin/a.ts': "import { x } from '../src/train/a.js';",
    });
    expect(breaches).toEqual([]);
  });
});
