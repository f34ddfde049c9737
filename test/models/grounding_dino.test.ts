// SPDX-License-Identifier: Apache-2.0
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { load } from '../../src/detector.js';
import { ready } from '../../src/engine/index.js';
import { EXIT_CODES, type UserError } from '../../src/errors.js';
import { buildModel } from '../../src/models/build.js';
import { loadDetectorWeights } from '../../src/models/detector_weights.js';
import { type GroundingDino, phraseLayout } from '../../src/models/grounding_dino/index.js';
import { loadModelFolder, modelAnswers } from '../../src/models/model_folder.js';
import type { DetectorInput } from '../../src/models/types.js';
import type { StoredTensor } from '../../src/models/weights/safetensors.js';
import { saveStateDict } from '../../src/models/weights/state_dict.js';
import { RandomStream } from '../../src/ops/index.js';
import { generateScene } from '../../src/train/data/scenes/index.js';
import { encodePng } from '../../src/viz/overlay.js';
import { bertTokenizerJson } from './bert_tokenizer.js';
import { smallGroundingDinoConfig } from './small_config.js';

const FIXTURE = fileURLToPath(new URL('../fixtures/grounding-dino/mm', import.meta.url));
const worst = (a: tf.Tensor, b: tf.Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!;

let root = '';
beforeAll(async () => {
  await ready();
  root = mkdtempSync(join(tmpdir(), 'gdino-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A picture with the text `ship. white cars.`, or with the ids given. */
function inputOf(ids = [101, 200, 1012, 201, 202, 207, 1012, 102], side = 64): DetectorInput {
  return {
    pixels: tf.randomNormal([1, side, side, 3], 0, 1, 'float32', 7),
    pixelMask: null,
    inputIds: tf.tensor2d(ids, [1, ids.length], 'int32'),
    textMask: tf.tensor2d(
      ids.map((id) => (id === 0 ? 0 : 1)),
      [1, ids.length],
    ),
  };
}

describe('phraseLayout', () => {
  const layoutOf = (ids: number[]) =>
    tf.tidy(() => {
      const { attention, positions } = phraseLayout(
        tf.tensor2d(ids, [1, ids.length], 'int32'),
        [101, 102, 9],
      );
      return { attention: attention.arraySync()[0]!, positions: positions.arraySync()[0]! };
    });

  it('has every phrase read itself alone, and count from its own start', () => {
    const { attention, positions } = layoutOf([101, 5, 6, 9, 7, 9, 102, 0]);
    expect(positions).toEqual([0, 0, 1, 2, 0, 1, 0, 0]);
    expect(attention[1]).toEqual([0, 1, 1, 1, 0, 0, 0, 0]);
    expect(attention[4]).toEqual([0, 0, 0, 0, 1, 1, 0, 0]);
    expect(attention[7]).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
  });

  it('leaves the words of a phrase that nothing ends before the last token to themselves', () => {
    const { attention, positions } = layoutOf([101, 5, 6, 102]);
    expect(positions).toEqual([0, 0, 0, 0]);
    expect(attention[1]).toEqual([0, 1, 0, 0]);
    // With padding behind it the last token ends a phrase.
    expect(layoutOf([101, 5, 6, 102, 0]).positions).toEqual([0, 0, 1, 2, 0]);
  });
});

describe.each(['dot', 'scaled'] as const)('GroundingDino with %s logits', (logits) => {
  let model: GroundingDino;
  beforeAll(() => {
    model = buildModel(smallGroundingDinoConfig(logits), 3);
  });
  afterAll(() => model.dispose());

  it('predicts logits and boxes of every decoder layer, and proposals', () => {
    tf.tidy(() => {
      const output = model.forward(inputOf());
      expect(output.aux_outputs).toHaveLength(1);
      for (const layer of [output, output.proposals, ...output.aux_outputs]) {
        expect(layer.pred_logits.shape).toEqual([1, 7, 8]);
        expect(layer.pred_boxes.shape).toEqual([1, 7, 4]);
      }
    });
  });

  it('answers padding of the text with minus infinity, and is not moved by it', () => {
    tf.tidy(() => {
      const ids = [101, 200, 1012, 201, 202, 207, 1012, 102];
      const plain = model.forward(inputOf(ids));
      const padded = model.forward(inputOf([...ids, 0, 0]));
      const [kept, after] = tf.split(padded.pred_logits, [8, 2], 2);
      expect(worst(plain.pred_logits, kept!)).toBeLessThan(1e-4);
      expect([...after!.dataSync()].every((value) => value === Number.NEGATIVE_INFINITY)).toBe(true);
    });
  });

  it('reads few words by another route than many, to the same end', () => {
    tf.tidy(() => {
      // Two heads of eight channels: with eight tokens and more the projections stay on the image's side.
      const [few, many] = [
        [101, 200, 1012, 201, 1012, 102],
        [101, 200, 1012, 201, 1012, 102, 0, 0, 0, 0, 0],
      ];
      const [a, b] = [few, many].map((ids) => model.forward(inputOf(ids)).pred_boxes);
      expect(worst(a!, b!)).toBeLessThan(1e-5);
    });
  });

  it('holds boxes as far from the edges as it is told', () => {
    const config = smallGroundingDinoConfig();
    const eps = { referenceEps: 0.2, boxEps: 0.3 };
    // Fresh heads move no box.
    const own = buildModel({ ...config, transformer: { ...config.transformer, ...eps } }, 2);
    tf.tidy(() => {
      const { aux_outputs, intermediates } = own.forward(inputOf(), null, { intermediates: true });
      const first = intermediates.reference_points!;
      const held = (eps: number) => {
        const [low, high] = [tf.maximum(first, eps), tf.maximum(tf.sub(1, first), eps)];
        return tf.div(low, tf.add(low, high));
      };
      const next = tf.gather(intermediates.intermediate_reference_points!, 0, 1);
      expect(worst(aux_outputs[0]!.pred_boxes, held(eps.boxEps))).toBeLessThan(1e-6);
      expect(worst(next, held(eps.referenceEps))).toBeLessThan(1e-6);
      expect(worst(held(eps.boxEps), held(eps.referenceEps))).toBeGreaterThan(0.01);
    });
    own.dispose();
  });

  it('is the same compiled', () => {
    tf.tidy(() => {
      const input = inputOf();
      const eager = model.forward(input);
      const compiled = model.predict(input);
      expect(worst(eager.pred_boxes, compiled.pred_boxes)).toBeLessThan(1e-5);
      expect(worst(eager.pred_logits, compiled.pred_logits)).toBeLessThan(1e-4);
    });
  });

  it('drops what image and text tell each other in training, by the seed', () => {
    const config = smallGroundingDinoConfig(logits);
    config.transformer.fusionDropPath = 0.5;
    const own = buildModel(config, 3);
    tf.tidy(() => {
      const input = inputOf();
      // What is told counts little at first.
      for (const [name, { variable }] of own.namedParameters())
        if (/(vision|text)_param$/.test(name)) variable.assign(tf.onesLike(variable));
      const boxes = (seed: number) =>
        own.forward(input, null, {
          training: true,
          random: new RandomStream(tf.tensor1d([seed, 7], 'int32')),
        }).pred_boxes;
      const different = [1, 2, 3, 4, 5].filter((seed) => worst(boxes(0), boxes(seed)) > 1e-6);
      expect(different.length).toBeGreaterThan(0);
      expect(worst(boxes(1), boxes(1))).toBe(0);
    });
    own.dispose();
  });
});

describe('weights of Grounding DINO', () => {
  it('are read as the original repository would have written them', () => {
    const config = smallGroundingDinoConfig();
    const [model, other] = [buildModel(config, 3), buildModel(config, 4)];
    const original = asOriginal(saveStateDict(model));
    expect([...original.keys()]).toEqual(
      expect.arrayContaining([
        'module.backbone.0.layers.0.blocks.0.attn.qkv.weight',
        'module.transformer.encoder.fusion_layers.0.attn.values_l_proj.weight',
        'module.transformer.decoder.layers.1.ca_text.in_proj_weight',
        'module.bert.embeddings.LayerNorm.weight',
      ]),
    );
    loadDetectorWeights(other, original, config, 'a file');
    tf.tidy(() => {
      const input = inputOf();
      expect(worst(model.forward(input).pred_boxes, other.forward(input).pred_boxes)).toBe(0);
    });
    original.delete('module.transformer.decoder.norm.weight');
    expect(() => loadDetectorWeights(other, original, config, 'a file')).toThrow(
      /a file does not fit the model: 1 missing \(module.transformer.decoder.norm.weight\)/,
    );
    for (const each of [model, other]) each.dispose();
  });
});

describe('a Hugging Face folder of Grounding DINO', () => {
  const folderWith = (change: (config: Record<string, unknown>) => void = () => {}) => {
    const folder = mkdtempSync(join(root, 'hf-'));
    cpSync(FIXTURE, folder, { recursive: true });
    const path = join(folder, 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    change(config);
    writeFileSync(path, JSON.stringify(config));
    writeFileSync(join(folder, 'tokenizer.json'), bertTokenizerJson());
    return folder;
  };

  it('answers prompts, in the words of the prompt', async () => {
    const folder = folderWith();
    expect(await modelAnswers(folder)).toBe('text');
    const detector = await load(folder);
    const png = await encodePng(generateScene(11, { size: 64 }).image);
    const prompt = 'White Ships. the airport';
    const { boxes, scores, phrases, spans } = await detector.detect(png, prompt, { threshold: 0 });
    expect(boxes).toHaveLength(8);
    expect([...scores].sort((a, b) => b - a)).toEqual(scores);
    spans.forEach((own, i) => {
      expect(own.map(([begin, end]) => prompt.slice(begin, end)).join(' ')).toBe(phrases[i]);
    });
    // A full stop at the end is added where it is missing.
    const closed = await detector.detect(png, `${prompt}.`, { threshold: 0 });
    closed.scores.forEach((score, i) => {
      expect(score).toBeCloseTo(scores[i]!, 5);
    });
    const long = 'ship. '.repeat(8);
    await expect(detector.detect(png, long)).rejects.toThrow('at most 16');
    detector.dispose();
  });

  it('says which of its settings cannot be had', async () => {
    const refused = async (change: (config: Record<string, unknown>) => void, message: string) => {
      const error = (await loadModelFolder(folderWith(change)).catch((e: unknown) => e)) as UserError;
      expect(error.message).toContain(message);
      expect(error.exitCode).toBe(EXIT_CODES.checkpoint);
    };
    await refused((config) => {
      config.two_stage = false;
    }, 'two_stage false is not supported, only true');
    await refused((config) => {
      config.num_queries = 'many';
    }, 'num_queries must be a whole number above 0');
    await refused((config) => {
      config.decoder_layers = 3;
    }, 'missing');
  });
});

// ---- The original repository's names, by its own words ----

const RENAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.text_backbone\./, 'bert.'],
  [/^model\.text_projection\./, 'feat_map.'],
  [/^model\.input_proj_vision\./, 'input_proj.'],
  [/^model\.query_position_embeddings\./, 'transformer.tgt_embed.'],
  [/^model\.encoder_output_bbox_embed\./, 'transformer.enc_out_bbox_embed.'],
  [
    /^model\.backbone\.conv_encoder\.model\.embeddings\.patch_embeddings\.projection/,
    'backbone.0.patch_embed.proj',
  ],
  [/^model\.backbone\.conv_encoder\.model\.embeddings\.norm/, 'backbone.0.patch_embed.norm'],
  [/^model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage2/, 'backbone.0.norm1'],
  [/^model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage3/, 'backbone.0.norm2'],
  [/^model\.backbone\.conv_encoder\.model\.hidden_states_norms\.stage4/, 'backbone.0.norm3'],
  [/^model\.backbone\.conv_encoder\.model\.encoder\./, 'backbone.0.'],
  [/\.layernorm_before\./, '.norm1.'],
  [/\.layernorm_after\./, '.norm2.'],
  [/(blocks\.\d+)\.attention\.output\.dense\./, '$1.attn.proj.'],
  [/\.attention\.self\.relative/, '.attn.relative'],
  [/(blocks\.\d+)\.intermediate\.dense\./, '$1.mlp.fc1.'],
  [/(blocks\.\d+)\.output\.dense\./, '$1.mlp.fc2.'],
  [/layers\.(\d+)\.deformable_layer\.self_attn_layer_norm\./, 'layers.$1.norm1.'],
  [/layers\.(\d+)\.deformable_layer\.final_layer_norm\./, 'layers.$1.norm2.'],
  [/layers\.(\d+)\.deformable_layer\.fc/, 'layers.$1.linear'],
  [/layers\.(\d+)\.deformable_layer\./, 'layers.$1.'],
  [/layers\.(\d+)\.text_enhancer_layer\.layer_norm_before\./, 'text_layers.$1.norm1.'],
  [/layers\.(\d+)\.text_enhancer_layer\.layer_norm_after\./, 'text_layers.$1.norm2.'],
  [/layers\.(\d+)\.text_enhancer_layer\.fc/, 'text_layers.$1.linear'],
  [/layers\.(\d+)\.text_enhancer_layer\./, 'text_layers.$1.'],
  [/layers\.(\d+)\.fusion_layer\./, 'fusion_layers.$1.'],
  [/\.vision_param$/, '.gamma_v'],
  [/\.text_param$/, '.gamma_l'],
  [/\.layer_norm_vision\./, '.layer_norm_v.'],
  [/\.layer_norm_text\./, '.layer_norm_l.'],
  [/\.attn\.(values_|out_|)vision_proj\./, '.attn.$1v_proj.'],
  [/\.attn\.(values_|out_|)text_proj\./, '.attn.$1l_proj.'],
  [/(decoder\.layers\.\d+)\.encoder_attn_layer_norm\./, '$1.norm1.'],
  [/(decoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.norm2.'],
  [/(decoder\.layers\.\d+)\.final_layer_norm\./, '$1.norm3.'],
  [/(decoder\.layers\.\d+)\.encoder_attn_text_layer_norm\./, '$1.catext_norm.'],
  [/(decoder\.layers\.\d+)\.encoder_attn_text\./, '$1.ca_text.'],
  [/(decoder\.layers\.\d+)\.encoder_attn\./, '$1.cross_attn.'],
  [/(decoder\.layers\.\d+)\.fc/, '$1.linear'],
  [/decoder\.layer_norm\./, 'decoder.norm.'],
  [/decoder\.reference_points_head\./, 'decoder.ref_point_head.'],
  [/^model\./, 'transformer.'],
];

function asOriginal(tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const result = new Map<string, StoredTensor>();
  const packed = new Map<string, StoredTensor[]>();
  for (const [name, tensor] of tensors) {
    const part = /^(.+)\.(query|key|value)\.(weight|bias)$/.exec(name);
    if (part && !name.startsWith('model.text_backbone.')) {
      const key = `${part[1]!.replace(/\.attention\.self$/, '.attn')}|${part[3]}`;
      packed.set(key, [...(packed.get(key) ?? []), tensor]);
    } else {
      result.set(`module.${renamed(name)}`, tensor);
    }
  }
  for (const [key, parts] of packed) {
    const [name, kind] = key.split('|') as [string, string];
    const data = Float32Array.from(parts.flatMap((part) => Array.from(part.data as Float32Array)));
    const shape = [3 * parts[0]!.shape[0]!, ...parts[0]!.shape.slice(1)];
    const own = name.endsWith('.attn') ? `${name}.qkv.${kind}` : `${name}.in_proj_${kind}`;
    result.set(`module.${renamed(own)}`, { ...parts[0]!, shape, data });
  }
  return result;
}

function renamed(name: string): string {
  return RENAMES.reduce((own, [from, to]) => own.replace(from, to), name);
}
