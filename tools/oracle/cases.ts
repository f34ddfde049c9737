// SPDX-License-Identifier: Apache-2.0
import { Detector, load } from '../../src/detector.js';
import type { ExportOptions } from '../../src/export/index.js';
import { buildModel } from '../../src/models/build.js';
import { preset } from '../../src/models/config.js';

/** A detector and how it is exported. */
export interface ExportCase {
  name: string;
  load(): Promise<Detector>;
  options: ExportOptions;
}

/** A Deformable DETR with ResNet-50 as published, with random weights. */
async function deformableDetr(kind: '' | '-refine' | '-two-stage'): Promise<Detector> {
  const config = preset(`deformable-detr-r50${kind}`);
  return new Detector({ answers: 'classes', model: buildModel(config, 5), config });
}

/** Every kind of detector, every form of input, and every kind of batch. */
export function exportCases(): ExportCase[] {
  const tiny = () => load();
  // The model is checked against Python instead of another process of ours.
  const unchecked = { check: false } as const;
  return [
    { name: 'mdetr-g-tiny', load: tiny, options: unchecked },
    { name: 'mdetr-g-tiny-one', load: tiny, options: { ...unchecked, batch: 1, tokens: 16 } },
    { name: 'mdetr-g-tiny-encoded', load: tiny, options: { ...unchecked, input: 'encoded' } },
    {
      name: 'mdetr-g-tiny-phrases',
      load: tiny,
      options: { ...unchecked, input: 'encoded', batch: 2, prompts: ['white ships', 'planes'] },
    },
    { name: 'mdetr-g-tiny-native', load: tiny, options: { ...unchecked, batch: 1, ops: 'native' } },
    {
      name: 'deformable-detr-plain',
      load: () => deformableDetr(''),
      options: { ...unchecked, size: 256, batch: 1 },
    },
    {
      name: 'deformable-detr-refine',
      load: () => deformableDetr('-refine'),
      options: { ...unchecked, size: 256 },
    },
    {
      name: 'deformable-detr-two-stage',
      load: () => deformableDetr('-two-stage'),
      options: { ...unchecked, size: 256, batch: 1, input: 'encoded' },
    },
  ];
}
