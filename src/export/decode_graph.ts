// SPDX-License-Identifier: Apache-2.0
import type { TfDtypeName } from '../engine/index.js';
import { functionDef } from './function_def.js';
import { attr, GraphBuilder } from './graph_builder.js';
import type { FunctionDef } from './tensorflow_messages.js';

/** Nodes with pictures that were decoded in the graph. */
export interface DecodedPictures {
  /** float32 `[batch, H, W, 3]`, 0 to 255. */
  pixels: string;
  /** float32 `[batch, H, W]`, 1 = picture. */
  mask: string;
  /** float32 `[batch, 2]`, width and height of the files' pictures. */
  sizes: string;
  /** What the graph's library must hold. */
  functions: FunctionDef[];
}

const FUNCTION = 'tfgeo_decode_picture';

/**
 * Adds what makes one batch of encoded pictures: each is decoded (JPEG with the exact transform, or PNG), made smaller if
 * it does not fit, never larger, and padded at the right and bottom.
 * @param bytes node with the files' contents, `[batch]`
 */
export function addDecoding(
  graph: GraphBuilder,
  bytes: string,
  width: number,
  height: number,
): DecodedPictures {
  const dtypes = ['float32', 'float32', 'float32'] as const;
  const decoded = graph.add('MapDefun', 'decode', [bytes], {
    f: attr.func(FUNCTION),
    Targuments: attr.types(['string']),
    Tcaptured: attr.types([]),
    output_types: attr.types(dtypes),
    output_shapes: attr.shapes([[height, width, 3], [height, width], [2]]),
    max_intra_op_parallelism: attr.int(1),
  });
  return {
    pixels: decoded,
    mask: `${decoded}:1`,
    sizes: `${decoded}:2`,
    functions: [decodePicture(width, height)],
  };
}

const FLOAT = { T: attr.type('float32') };
const INT = { T: attr.type('int32') };

/** The function that decodes one picture. */
function decodePicture(width: number, height: number): FunctionDef {
  const graph = new GraphBuilder();
  const picture = graph.add('DecodeJpeg', 'picture', ['bytes'], {
    channels: attr.int(3),
    dct_method: attr.text('INTEGER_ACCURATE'),
  });
  const given = addSides(graph, picture);
  const room = graph.floats('room', [height, width]);
  const fitted = addFitted(graph, given, room);
  const size = graph.add('Cast', 'size', [fitted], cast('float32', 'int32'));
  const pixels = addResized(graph, picture, size, graph.add('RealDiv', 'scale', [fitted, given], FLOAT));
  const { padded, mask } = addPadding(graph, pixels, size, [height, width]);
  const axis = { ...FLOAT, Tidx: attr.type('int32') };
  const turned = graph.add('ReverseV2', 'width_height', [given, graph.ints('last', [0])], axis);
  return functionDef(
    FUNCTION,
    graph.nodes,
    [{ name: 'bytes', dtype: 'string' }],
    [
      { name: 'pixels_out', dtype: 'float32', from: padded },
      { name: 'mask_out', dtype: 'float32', from: mask },
      { name: 'size_out', dtype: 'float32', from: turned },
    ],
  );
}

function cast(from: TfDtypeName, to: TfDtypeName) {
  return { SrcT: attr.type(from), DstT: attr.type(to) };
}

/** Height and width of a picture as floats. */
function addSides(graph: GraphBuilder, picture: string): string {
  const shape = graph.add('Shape', 'shape', [picture], {
    T: attr.type('uint8'),
    out_type: attr.type('int32'),
  });
  const bounds = [graph.ints('from', [0]), graph.ints('two', [2])];
  const sides = graph.add('Slice', 'sides', [shape, ...bounds], { ...INT, Index: attr.type('int32') });
  return graph.add('Cast', 'given', [sides], cast('int32', 'float32'));
}

/** Height and width that fit into `room`: shrunk alike, to whole pixels, and never to nothing. */
function addFitted(graph: GraphBuilder, given: string, room: string): string {
  const ratios = graph.add('RealDiv', 'ratios', [room, given], FLOAT);
  const smaller = graph.add('Min', 'smaller', [ratios, graph.ints('axis', [0])], {
    ...FLOAT,
    Tidx: attr.type('int32'),
    keep_dims: attr.bool(false),
  });
  const factor = graph.add('Minimum', 'factor', [smaller, graph.floats('one', 1)], FLOAT);
  const scaled = graph.add('Mul', 'scaled', [given, factor], FLOAT);
  const moved = graph.add('AddV2', 'moved', [scaled, graph.floats('half', 0.5)], FLOAT);
  const floored = graph.add('Floor', 'floored', [moved], FLOAT);
  const atLeast = graph.add('Maximum', 'at_least', [floored, graph.floats('least', 1)], FLOAT);
  return graph.add('Minimum', 'fitted', [atLeast, room], FLOAT);
}

/** The picture as floats at another size, by the triangle filter that geo/resample.ts has. */
function addResized(graph: GraphBuilder, picture: string, size: string, scale: string): string {
  const values = graph.add('Cast', 'values', [picture], cast('uint8', 'float32'));
  const expand = { ...FLOAT, Tdim: attr.type('int32') };
  const batch = graph.add('ExpandDims', 'batch', [values, graph.ints('first', 0)], expand);
  const still = graph.floats('still', [0, 0]);
  const resized = graph.add('ScaleAndTranslate', 'resized', [batch, size, scale, still], {
    ...FLOAT,
    kernel_type: attr.text('triangle'),
    antialias: attr.bool(true),
  });
  return graph.add('Squeeze', 'single', [resized], { ...FLOAT, squeeze_dims: attr.ints([0]) });
}

/** The picture with zeros at the right and bottom, and 1 where it is. */
function addPadding(
  graph: GraphBuilder,
  pixels: string,
  size: string,
  canvas: readonly [height: number, width: number],
): { padded: string; mask: string } {
  const rest = graph.add('Sub', 'rest', [graph.ints('canvas', canvas), size], INT);
  const margins = graph.add('Pack', 'margins', [graph.ints('none', [0, 0]), rest], {
    ...INT,
    N: attr.int(2),
    axis: attr.int(1),
  });
  const noMargin = graph.constant('no_margin', {
    dtype: 'int32',
    shape: [1, 2],
    values: Int32Array.of(0, 0),
  });
  const allMargins = graph.add('ConcatV2', 'all_margins', [margins, noMargin, graph.ints('rows', 0)], {
    ...INT,
    N: attr.int(2),
    Tidx: attr.type('int32'),
  });
  const pad = { ...FLOAT, Tpaddings: attr.type('int32') };
  const ones = graph.add('Fill', 'ones', [size, graph.floats('filled', 1)], {
    ...FLOAT,
    index_type: attr.type('int32'),
  });
  return {
    padded: graph.add('Pad', 'pixels', [pixels, allMargins], pad),
    mask: graph.add('Pad', 'mask', [ones, margins], pad),
  };
}
