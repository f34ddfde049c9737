// SPDX-License-Identifier: Apache-2.0

/** SavedModels written without Python. */
export { type CheckReport, checkExamples, compareAnswers, TOLERANCE } from './check.js';
export { type ExportReport, exportModel } from './export_model.js';
export { attr, GraphBuilder } from './graph_builder.js';
export { decode, encode, type FieldSpec, type MessageSpec } from './message.js';
export { opDefinitions } from './op_definitions.js';
export {
  readSavedModel,
  type SavedModelContent,
  type Signature,
  type SignatureTensor,
  writeSavedModel,
} from './saved_model.js';
export type { ExportOptions } from './settings.js';
export { arrayFor, fromTensorProto, shapeOf, toTensorProto } from './tensor_proto.js';
export * from './tensorflow_messages.js';
export { addVariable, type SavedVariable, type VariableNodes } from './variables.js';
export { type Example, readExamples, warmupFiles } from './warmup.js';
