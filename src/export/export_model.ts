// SPDX-License-Identifier: Apache-2.0
import * as tf from '@tensorflow/tfjs';
import { ready } from '../engine/index.js';
import { EXIT_CODES, UserError } from '../errors.js';
import type { Exportable, ExportSource } from '../models/exportable/index.js';
import { packageVersion } from '../package.js';
import { type CheckReport, checkInNewProcess } from './check.js';
import { buildGraph } from './detector_graph.js';
import { makeExamples } from './examples.js';
import { assertFree, readSavedModel, type Signature, writeSavedModel } from './saved_model.js';
import { type ExportOptions, type ExportSettings, queryOf, settingsOf } from './settings.js';
import { warmupFiles } from './warmup.js';

/** What was exported. */
export interface ExportReport {
  width: number;
  height: number;
  nodes: number;
  variables: number;
  /** Present if it was checked. */
  check: CheckReport | null;
}

/** Names of tfgeo's own operations begin so. */
const OWN_OPS = 'Tfgeo';

/**
 * Writes a detector as a SavedModel with the signatures `detect` (also `serving_default`) and `raw`, see
 * docs/serving.md. It appears under its name whole, checked, or not at all.
 *
 * @param source what `load` gives, or any other detector that can give itself as an {@link Exportable}
 * @param folder must not exist, or be empty
 * @throws UserError for options that the model cannot have, and if the written model differs from the one in memory
 */
export async function exportModel(
  source: ExportSource,
  folder: string,
  options: ExportOptions = {},
): Promise<ExportReport> {
  await assertFree(folder);
  await ready({ engine: 'tensorflow' });
  const exportable = source.exportable(queryOf(options));
  const settings = settingsOf(exportable, options);
  const built = buildGraph(exportable, settings);
  try {
    const examples = await Promise.all(
      settings.exampleBatches.map((batch) => makeExamples(exportable, { ...settings, batch })),
    );
    const content = {
      ...built,
      assets: assetsOf(exportable, settings, built.signatures),
      extra: warmupFiles(examples.flat()),
    };
    let report: CheckReport | null = null;
    await writeSavedModel(folder, content, async (written) => {
      await checkOps(written, settings.ops);
      if (options.check ?? true) report = await checkInNewProcess(written);
    });
    const { width, height } = settings;
    return { width, height, nodes: built.nodes.length, variables: built.variables.length, check: report };
  } finally {
    tf.dispose(built.owned);
  }
}

function assetsOf(
  exportable: Exportable,
  { width, height, batch, encoded, ops }: ExportSettings,
  signatures: Record<string, Signature>,
): Record<string, string> {
  const { kind, threshold, query, labels, inputs } = exportable;
  const missing = inputs.flatMap((input) =>
    input.missing === undefined ? [] : [[input.name, input.missing]],
  );
  const ports = (tensors: Signature['inputs']) =>
    Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const description = {
    tfgeo: packageVersion(),
    model: kind,
    width,
    height,
    batch,
    input: encoded ? 'encoded' : 'pixels',
    ops,
    tokens: query?.tokens ?? null,
    ...(query ? { padding: query.padding } : {}),
    ...(query?.closing === undefined ? {} : { closing: query.closing }),
    ...(missing.length === 0 ? {} : { missing: Object.fromEntries(missing) }),
    threshold,
    labels,
    signatures: Object.fromEntries(
      Object.entries(signatures).map(([name, { inputs, outputs }]) => [
        name,
        { inputs: ports(inputs), outputs: ports(outputs) },
      ]),
    ),
  };
  return {
    ...exportable.assets,
    'tfgeo.json': `${JSON.stringify(description, null, 2)}\n`,
    ...(labels.length > 0 ? { 'labels.txt': `${labels.join('\n')}\n` } : {}),
  };
}

/** @throws UserError if a portable graph holds operations that TensorFlow itself does not have */
async function checkOps(folder: string, ops: ExportSettings['ops']): Promise<void> {
  if (ops === 'native') return;
  const { graph } = await readSavedModel(folder);
  const bodies = (graph.library?.functions ?? []).flatMap(({ nodes }) => nodes);
  const own = [...graph.nodes, ...bodies].filter(({ op }) => op.startsWith(OWN_OPS) || op.startsWith('_'));
  if (own.length === 0) return;
  const names = [...new Set(own.map(({ op }) => op))].join(', ');
  throw new UserError(
    `the graph holds operations that are not TensorFlow's public ones: ${names}`,
    EXIT_CODES.internal,
  );
}
