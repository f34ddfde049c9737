// SPDX-License-Identifier: Apache-2.0
import { ContrastiveAlignHead, SoftTokenHead, TokenSigmoidHead } from '../heads.js';
import type { LayerKind } from '../layer_adapter.js';
import { registerModuleLayer } from '../layer_adapter.js';

/** Inputs: queries `[batch, Q, C]`, tokens `[batch, T, C]`. Output: logits `[batch, Q, T]`. */
const TOKEN_SIGMOID_HEAD: LayerKind<TokenSigmoidHead> = {
  className: 'TokenSigmoidHead',
  build: ({ dModel, hdim }) => new TokenSigmoidHead(dModel as number, hdim as number),
  call: (module, [queries, tokens]) => module.forward(queries!, tokens!),
  outputShape: (_, [queries, tokens]) => [queries![0]!, queries![1]!, tokens![1]!],
};

/** Input: queries `[batch, Q, C]`. Output: logits `[batch, Q, slots]`, the last slot means "no object". */
const SOFT_TOKEN_HEAD: LayerKind<SoftTokenHead> = {
  className: 'SoftTokenHead',
  build: ({ dModel, slots, learnScale }) =>
    new SoftTokenHead(dModel as number, slots as number, Boolean(learnScale)),
  call: (module, [queries]) => module.forward(queries!),
  outputShape: ({ slots }, [queries]) => [queries![0]!, queries![1]!, slots as number],
};

/** Inputs: queries `[batch, Q, C]`, tokens `[batch, T, C]`. Outputs: unit vectors `[batch, Q, hdim]`, `[batch, T, hdim]`. */
const CONTRASTIVE_ALIGN_HEAD: LayerKind<ContrastiveAlignHead> = {
  className: 'ContrastiveAlignHead',
  build: ({ dModel, hdim }) => new ContrastiveAlignHead(dModel as number, hdim as number),
  call: (module, [queries, tokens]) => [module.queries(queries!), module.tokens(tokens!)],
  outputShape: ({ hdim }, [queries, tokens]) => [
    [queries![0]!, queries![1]!, hdim as number],
    [tokens![0]!, tokens![1]!, hdim as number],
  ],
};

/** `new TokenSigmoidHeadLayer({ settings: { dModel, hdim } })` */
export const TokenSigmoidHeadLayer = registerModuleLayer(TOKEN_SIGMOID_HEAD);

/** `new SoftTokenHeadLayer({ settings: { dModel, slots, learnScale } })` */
export const SoftTokenHeadLayer = registerModuleLayer(SOFT_TOKEN_HEAD);

/** `new ContrastiveAlignHeadLayer({ settings: { dModel, hdim } })` */
export const ContrastiveAlignHeadLayer = registerModuleLayer(CONTRASTIVE_ALIGN_HEAD);
