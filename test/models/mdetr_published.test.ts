// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { ready } from '../../src/engine/index.js';
import { buildModel } from '../../src/models/build.js';
import { BUNDLED_TOKENIZER } from '../../src/models/bundled.js';
import type { Linear } from '../../src/models/layers/basic.js';
import type { Mdetr } from '../../src/models/mdetr/index.js';
import { loadModelFolder } from '../../src/models/model_folder.js';
import { convertCheckpoint, inspectCheckpoint } from '../../src/models/published/index.js';
import { loadStateDict, saveStateDict } from '../../src/models/weights/state_dict.js';
import { encodeTorch } from '../../src/models/weights/torch/write.js';
import { stirred } from '../../tools/stir.js';
import { behind, formula, type Listed } from './listed.js';
import { ANSWER_HEADS, type MdetrSizes, maskHeads, mdetrStateDict } from './mdetr_names.js';
import { contents } from './published/contents.js';
import { smallMdetrConfig, smallQuestionsConfig } from './small_config.js';

// Checkpoints of MDETR's downstream tasks: questions (GQA, CLEVR), masks (PhraseCut), objects meant (CLEVR-Ref+).

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'mdetr-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SIZES: MdetrSizes = {
  resnet: [8, 16, 24, 32],
  text: { words: 4000, places: 66, width: 64, layers: 2, hidden: 24 },
  width: 32,
  ffn: 24,
  encoder: 2,
  decoder: 2,
  queries: 5,
  align: true,
};

/** As its program writes it, with averages beside; its tokenizer beside it. */
function publish(name: string, list: Listed): string {
  mkdirSync(join(root, name), { recursive: true });
  const path = join(root, name, 'published.pth');
  const values = formula(list);
  const args = { nheads: 8, dilation: false, position_embedding: 'sine', pre_norm: false };
  writeFileSync(path, Buffer.concat(encodeTorch({ model: values, model_ema: values, epoch: 4, args })));
  copyFileSync(BUNDLED_TOKENIZER, join(root, name, 'tokenizer.json'));
  return path;
}

const plain = mdetrStateDict(SIZES);
const final: Listed = [
  ['isfinal_embed.weight', [1, 32]],
  ['isfinal_embed.bias', [1]],
];

/** A checkpoint, what its configuration says, and names that are dropped. */
const ROWS: readonly [name: string, list: Listed, transformer: object, dropped: RegExp][] = [
  ['LVIS', plain, { align: true, queries: 5 }, /position_ids$/],
  [
    'GQA',
    [...mdetrStateDict({ ...SIZES, align: false }), ...ANSWER_HEADS.gqa!(32)],
    { align: false, questions: 'gqa' },
    /position_ids$/,
  ],
  [
    'GQA with one head',
    [...plain, ...ANSWER_HEADS['gqa-whole']!(32)],
    { questions: 'gqa-whole' },
    /position_ids$/,
  ],
  ['CLEVR', [...plain, ...ANSWER_HEADS.clevr!(32)], { questions: 'clevr', queries: 5 }, /position_ids$/],
  ['CLEVR-Ref+', [...plain, ...final], { final: true }, /position_ids$/],
  [
    'PhraseCut',
    [...behind('detr.', plain), ...maskHeads(32, 8, [24, 16, 8])],
    { align: true },
    /position_ids$|^bbox_attention\.|^mask_head\./,
  ],
];

describe.each(ROWS)('a checkpoint of %s', (name, list, transformer, droppable) => {
  it('is loaded alone, and written again to the bit', async () => {
    const path = publish(name, list);
    const report = await inspectCheckpoint(path);
    expect(report).toMatchObject({ key: 'model', fits: true, missing: [] });
    expect(report.model).toEqual({ title: 'MDETR, resnet, roberta', origin: 'original' });
    const dropped = report.tensors.filter(({ fate }) => fate === 'dropped').map((tensor) => tensor.name);
    expect(dropped).toEqual(list.map(([each]) => each).filter((each) => droppable.test(each)));
    const { model, config } = await loadModelFolder(path);
    expect(config).toMatchObject({ model_type: 'mdetr', transformer });
    model.dispose();
    const again = join(root, name, 'written.pth');
    await convertCheckpoint(path, again);
    const bare = ([each, bytes]: [string, string]): [string, string] => [each.replace(/^detr\./, ''), bytes];
    const kept = ([each]: [string, string]) => !dropped.includes(each) && !droppable.test(each);
    const [first, second] = [await contents(path), await contents(again)];
    expect(new Map([...second].filter(kept))).toEqual(new Map([...first].filter(kept).map(bare)));
    expect((await inspectCheckpoint(again)).fits).toBe(true);
  });
});

/** A picture of noise and a text of four tokens. */
function input() {
  return {
    pixels: tf.randomNormal([1, 64, 64, 3], 0, 1, 'float32', 5) as tf.Tensor4D,
    pixelMask: null,
    inputIds: tf.tensor2d([[0, 7, 9, 2]], undefined, 'int32'),
    textMask: tf.ones<tf.Rank.R2>([1, 4]),
  };
}

describe('MDETR that answers questions', () => {
  it.each(['clevr', 'gqa', 'gqa-whole'] as const)('is MDETR with further queries: %s', (questions) => {
    const asked = stirred(buildModel(smallQuestionsConfig(questions), 3)) as Mdetr;
    const config = smallMdetrConfig();
    const values = saveStateDict(asked);
    const [boxes, further] = ['query_embed.weight', 'qa_embed.weight'].map((each) => values.get(each)!);
    const queries = boxes!.shape[0]! + further!.shape[0]!;
    const data = Float32Array.from([...boxes!.data, ...further!.data].map(Number));
    const whole = buildModel({ ...config, transformer: { ...config.transformer, queries } }) as Mdetr;
    const shared = new Map([...values].filter(([each]) => !/^(answer|qa_|isfinal)/.test(each)));
    shared.set('query_embed.weight', { dtype: 'F32', shape: [queries, 32], data });
    loadStateDict(whole, shared);
    const heads = asked as unknown as { answering: { heads: { output: string; head: Linear }[] } };
    tf.tidy(() => {
      const given = input();
      const [own, wide] = [asked.forward(given), whole.forward(given, null, { intermediates: true })];
      const close = (a: tf.Tensor, b: tf.Tensor) => {
        expect(a.shape).toEqual(b.shape);
        expect(tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]).toBeLessThan(1e-5);
      };
      close(own.pred_logits, tf.slice(wide.pred_logits, [0, 0, 0], [1, 6, -1]));
      close(own.pred_boxes, tf.slice(wide.pred_boxes, [0, 0, 0], [1, 6, -1]));
      expect(own.pred_isfinal?.shape).toEqual([1, 6, 1]);
      // Answers are read after the first layer, each from its own query.
      const first = tf.gather(wide.intermediates.hs!, 0);
      heads.answering.heads.forEach(({ output, head }, i) => {
        close(
          own.answers[output]!,
          head.forward(tf.slice(first, [0, 6 + i, 0], [1, 1, -1]).reshape([1, 32])),
        );
      });
      expect(Object.keys(own.answers)).toHaveLength(further!.shape[0]!);
    });
    asked.dispose();
    whole.dispose();
  });
});
