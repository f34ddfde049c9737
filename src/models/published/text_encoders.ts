// SPDX-License-Identifier: Apache-2.0
import { buildTextEncoder, TEXT_NAMES, textEncoderSettings, textFamilies } from '../text/index.js';
import { chooseNames } from '../weights/name_map.js';
import type { PublishedKind } from './types.js';

/** Hugging Face's classes of encoders. */
const ARCHITECTURES: Readonly<Record<string, string>> = { bert: 'BertModel', roberta: 'RobertaModel' };

/** Text encoders alone. Their heads of attention and the end of their positions show in no shape: a `config.json` says them. */
export const TEXT_ENCODERS: PublishedKind = {
  about: 'folders of BERT, MiniLM and RoBERTa',
  recognise({ file, config: given }) {
    const family = String(given?.values.model_type);
    if (!given || !textFamilies().includes(family)) return null;
    const known = Object.keys(textEncoderSettings(family, {}));
    const pooler = [...file.tensors.keys()].some((name) => name.endsWith('pooler.dense.weight'));
    const settings = {
      add_pooling_layer: pooler,
      ...Object.fromEntries(Object.entries(given.values).filter(([key]) => known.includes(key))),
    };
    const config = { model_type: family, ...textEncoderSettings(family, settings) };
    return {
      title: `text encoder ${family}`,
      config,
      names: chooseNames(TEXT_NAMES, file.tensors.keys()) ?? TEXT_NAMES[0],
      origins: TEXT_NAMES,
      huggingFaceConfig: () => ({ architectures: [ARCHITECTURES[family]], ...config }),
      build: () => buildTextEncoder(family, config),
    };
  },
};
