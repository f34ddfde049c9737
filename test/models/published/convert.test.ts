// SPDX-License-Identifier: Apache-2.0
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../../src/engine/index.js';
import {
  backboneNames,
  buildBackbone,
  loadResNetBackbone,
  loadSwinBackbone,
} from '../../../src/models/backbones/index.js';
import { loadModelFolder } from '../../../src/models/model_folder.js';
import { convertCheckpoint } from '../../../src/models/published/index.js';
import { readCheckpoint } from '../../../src/models/weights/checkpoint_file.js';
import { type StoredTensor, writeSafetensors } from '../../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../../src/models/weights/state_dict.js';
import { writeUntrainedModel } from '../../untrained_model.js';
import { smallConfig } from '../small_config.js';
import { contents } from './contents.js';

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'convert-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const at = (name: string) => join(root, name);
const pth = (kind: string) => `test/fixtures/torch/detr_${kind}.pth`;

describe.each(['plain', 'refine', 'two_stage'])('a checkpoint of Deformable DETR (%s)', (kind) => {
  it('to a folder, to the names it had, and to Hugging Face: bit for bit', async () => {
    const folder = at(kind);
    const { title, from, to } = await convertCheckpoint(pth(kind), folder);
    expect([title, from, to]).toEqual([
      expect.stringMatching(/^Deformable DETR, resnet, .*7 classes$/),
      'original',
      'tfgeo',
    ]);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors']);
    const loaded = await loadModelFolder(folder);
    expect(loaded.config).toMatchObject({ model_type: 'deformable-detr' });
    loaded.model.dispose();
    await convertCheckpoint(folder, at(`${kind}.pth`), { names: 'original' });
    expect(await contents(at(`${kind}.pth`))).toEqual(await contents(pth(kind)));
    const theirs = at(`${kind}_hf`);
    await convertCheckpoint(at(`${kind}.pth`), theirs, { names: 'huggingface' });
    expect(JSON.parse(readFileSync(join(theirs, 'config.json'), 'utf8'))).toMatchObject({
      model_type: 'deformable_detr',
    });
    expect(await contents(theirs)).toEqual(await contents(folder));
    await convertCheckpoint(theirs, at(`${kind}_again.safetensors`), { names: 'original' });
    const heads = (await readCheckpoint(at(`${kind}_again.safetensors`))).args?.nheads;
    expect(heads).toBe(4);
    expect(await contents(at(`${kind}_again.safetensors`))).toEqual(await contents(pth(kind)));
  });
});

describe('names of a published detector', () => {
  const folder = 'test/fixtures/detectors';
  const { cases } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as {
    cases: { name: string; files: string[]; aliases: Record<string, string> }[];
  };

  it.each(cases)('$name: all are written again, and no other', async ({ files, aliases }) => {
    const list = files.find((file) => file.startsWith('names/'))!;
    const shapes = new Map<string, number[]>(JSON.parse(readFileSync(join(folder, list), 'utf8')));
    for (const [name, first] of Object.entries(aliases)) shapes.set(name, shapes.get(first)!);
    const tensors = [...shapes].map(([name, shape]): [string, StoredTensor] => {
      const size = shape.reduce((product, n) => product * n, 1);
      return [name, { dtype: 'F32', shape, data: new Float32Array(size).fill(0.5) }];
    });
    writeSafetensors(at('published.safetensors'), tensors);
    await convertCheckpoint(at('published.safetensors'), at('published'));
    await convertCheckpoint(at('published'), at('written.safetensors'), { names: 'original' });
    const written = (await readCheckpoint(at('written.safetensors'))).tensors;
    // The lists are of floats. Batch norms that train have a counter; frozen ones have none.
    if (list.includes('mpvit')) {
      const means = [...shapes.keys()].filter((name) => name.endsWith('.running_mean'));
      for (const mean of means) shapes.set(mean.replace('running_mean', 'num_batches_tracked'), []);
    }
    expect(new Map([...written].map(([name, { shape }]) => [name, shape]))).toEqual(shapes);
  });
});

describe('convertCheckpoint', () => {
  it('gives Hugging Face the norm that its Swin does not use', async () => {
    await convertCheckpoint('test/fixtures/deformable-detr/swin_two_stage', at('swin'), {
      names: 'Hugging Face',
    });
    const [given, written] = [
      await contents('test/fixtures/deformable-detr/swin_two_stage'),
      await contents(at('swin')),
    ];
    expect([...written.keys()].sort()).toEqual([...given.keys()].sort());
    const unused = [...given.keys()].filter((name) => name.includes('.swin.layernorm.'));
    expect(unused).toHaveLength(2);
    for (const [name, content] of given) if (!unused.includes(name)) expect(written.get(name)).toBe(content);
  });

  it('turns backbones of torchvision into folders and back', async () => {
    const small = { embedding_size: 8, hidden_sizes: [8, 16], depths: [1, 2], layer_type: 'basic' };
    const backbone = buildBackbone('resnet', { ...small, out_features: ['stage1', 'stage2'] });
    const names = backboneNames('resnet').find(({ origin }) => origin === 'torchvision')!;
    const published = saveStateDict(backbone, { names });
    published.set('fc.weight', { dtype: 'F32', shape: [1], data: new Float32Array(1) } as StoredTensor);
    writeSafetensors(at('resnet.pth'), published);
    const { report, title } = await convertCheckpoint(at('resnet.pth'), at('resnet'));
    expect(title).toBe('backbone resnet, names of torchvision');
    expect(report.ignored).toEqual([{ name: 'fc.weight', why: 'classifier of whole pictures' }]);
    const loaded = await loadResNetBackbone(at('resnet'), { out_features: ['stage1', 'stage2'] });
    expect(saveStateDict(loaded.backbone, { names })).toEqual(saveStateDict(backbone, { names }));
    await convertCheckpoint(at('resnet'), at('resnet_again.safetensors'), { names: 'torchvision' });
    published.delete('fc.weight');
    for (const name of [...published.keys()].filter((each) => each.endsWith('.running_mean'))) {
      const counter = name.replace('running_mean', 'num_batches_tracked');
      published.set(counter, { dtype: 'I64', shape: [], data: new BigInt64Array(1) });
    }
    writeSafetensors(at('resnet.safetensors'), published);
    expect(await contents(at('resnet_again.safetensors'))).toEqual(await contents(at('resnet.safetensors')));
    loaded.backbone.dispose();
    backbone.dispose();
  });

  it('packs and unpacks the projections of Swin', async () => {
    const before = await loadSwinBackbone('test/fixtures/swin/w4');
    await convertCheckpoint('test/fixtures/swin/w4', at('swin.pth'), { names: 'original' });
    expect([...(await contents(at('swin.pth'))).keys()]).toContain('layers.0.blocks.0.attn.qkv.weight');
    await convertCheckpoint(at('swin.pth'), at('swin_folder'));
    const after = await loadSwinBackbone(at('swin_folder'), {
      out_features: before.backbone.config.out_features,
    });
    expect(saveStateDict(after.backbone)).toEqual(saveStateDict(before.backbone));
    before.backbone.dispose();
    after.backbone.dispose();
  });

  it('stores halves, and keeps the tokenizer', async () => {
    writeUntrainedModel(at('text'), 1, smallConfig('token-sigmoid'));
    await convertCheckpoint(at('text'), at('text_half'), { dtype: 'BF16' });
    expect(readdirSync(at('text_half')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    const { tensors } = await readCheckpoint(at('text_half'));
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['BF16']));
    const { model } = await loadModelFolder(at('text_half'));
    model.dispose();
  });

  it('writes what is large in parts, which are read like one file', async () => {
    const whole = at('plain');
    const parted = at('parted');
    const { files } = await convertCheckpoint(whole, parted, { partBytes: 100_000 });
    const names = readdirSync(parted).sort();
    expect(files.map((file) => file.slice(parted.length + 1)).sort()).toEqual(names);
    const parts = names.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name));
    expect(parts.length).toBeGreaterThan(2);
    expect(names).toEqual(['config.json', ...parts, 'model.safetensors.index.json']);
    expect(parts.at(-1)).toContain(`${parts.length}-of-0000${parts.length}`);
    const sizes = await Promise.all(
      parts.map(async (part) => {
        const { tensors } = await readCheckpoint(join(parted, part));
        return [...tensors.values()].map(({ data }) => data.byteLength);
      }),
    ); // prettier-ignore
    const sum = (bytes: number[]) => bytes.reduce((total, size) => total + size, 0);
    for (const part of sizes) expect(part.length === 1 || sum(part) <= 100_000).toBe(true);
    const index = JSON.parse(readFileSync(join(parted, 'model.safetensors.index.json'), 'utf8'));
    expect(index.metadata.total_size).toBe(sum(sizes.map(sum)));
    expect(await contents(parted)).toEqual(await contents(whole));
    (await loadModelFolder(parted)).model.dispose();
    await convertCheckpoint(parted, at('joined'));
    expect(await contents(at('joined'))).toEqual(await contents(whole));
    await expect(convertCheckpoint(parted, at('joined'), { partBytes: 100_000 })).rejects.toThrow(
      /joined\/model\.safetensors is there already and would be read instead of parts/,
    );
  });

  it('refuses, and writes nothing', async () => {
    mkdirSync(at('a.pth'));
    const refuse = async (message: RegExp, input: string, output: string, options = {}) => {
      const before = [tf.memory().numTensors, readdirSync(root).length];
      await expect(convertCheckpoint(input, output, options)).rejects.toThrow(message);
      expect([tf.memory().numTensors, readdirSync(root).length]).toEqual(before);
    };
    await refuse(
      /there are no names of "torchvison" for this model \(did you mean torchvision\?\); there are tfgeo, Hugging Face, torchvision/,
      at('resnet'),
      at('x'),
      { names: 'torchvison' },
    ); // prettier-ignore
    await refuse(
      /views\.pth is of no kind that is known: model folders of tfgeo; /,
      'test/fixtures/torch/views.pth',
      at('x'),
    );
    await refuse(/is what is to be converted; give another place/, at('plain'), at('plain'));
    await refuse(/is a folder, not a file/, pth('plain'), at('a.pth'));
    await refuse(/PyTorch files are written as F32/, pth('plain'), at('x.pth'), { dtype: 'F16' });
    await refuse(/there is no such file/, at('none.pth'), at('x'));
    const { tensors } = await readCheckpoint(pth('plain'));
    tensors.delete('query_embed.weight');
    tensors.set('query_embed.weight', { dtype: 'F32', shape: [20, 63], data: new Float32Array(20 * 63) });
    writeSafetensors(at('broken.safetensors'), tensors);
    await refuse(
      /query_embed\.weight is \[20,63\] where the model has \[20,64\]/,
      at('broken.safetensors'),
      at('x'),
    );
    expect(existsSync(at('x'))).toBe(false);
  });

  it('leaves an existing folder as it was when weights do not fit', async () => {
    writeFileSync(join(at('resnet'), 'mark'), 'kept');
    const before = readFileSync(join(at('resnet'), 'model.safetensors'));
    const { tensors } = await readCheckpoint(at('resnet'));
    const [name] = tensors.keys();
    tensors.delete(name!);
    writeSafetensors(at('lacking.safetensors'), tensors);
    await expect(convertCheckpoint(at('lacking.safetensors'), at('resnet'))).rejects.toThrow(
      /tensor embedder\.embedder\.convolution\.weight is missing/,
    );
    expect(readFileSync(join(at('resnet'), 'model.safetensors')).equals(before)).toBe(true);
    expect(readFileSync(join(at('resnet'), 'mark'), 'utf8')).toBe('kept');
  });
});

describe.each([
  ['separate', 'Grounding DINO'],
  ['mm', 'MM-Grounding-DINO'],
])("Hugging Face's folder of Grounding DINO (%s)", (name, title) => {
  it('to a folder of tfgeo and back: bit for bit, with a configuration that is read the same', async () => {
    const given = join('test/fixtures/grounding-dino', name);
    const [own, theirs, again] = [at(`${name}-own`), at(`${name}-theirs`), at(`${name}-again`)];
    expect((await convertCheckpoint(given, own)).title).toBe(`${title}, swin, bert`);
    const back = await convertCheckpoint(own, theirs, { names: 'Hugging Face' });
    expect(back.report.missing).toEqual([]);
    // What decoder layers share goes by any of its names. One norm transformers has and does not use; it is written as it is
    // there at first.
    const used = async (folder: string) =>
      new Map(
        [...(await contents(folder))]
          .filter(([tensor]) => !/swin\.layernorm\./.test(tensor))
          .map(([tensor, bytes]) => [tensor.replace(/^model\.decoder\.(?=(bbox|class)_embed)/, ''), bytes]),
      );
    expect(await used(theirs)).toEqual(await used(given));
    const config = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(config(theirs).model_type).toBe(config(given).model_type);
    await convertCheckpoint(theirs, again);
    expect(config(again).transformer).toEqual(config(own).transformer);
    expect(await contents(again)).toEqual(await contents(own));
  });
});
