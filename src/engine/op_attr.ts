// SPDX-License-Identifier: Apache-2.0
import { type OpAttr, TF_ATTR, TF_DTYPE, type TfDtypeName } from './binding.js';

/**
 * Attributes of TensorFlow ops for {@link runOp}. An array makes a list attribute; `shape` takes one shape
 * (`[2, -1]`, -1 is unknown) or a list of shapes (`[[2], [3, 4]]`).
 */
export const opAttr = {
  string: (name: string, value: string | readonly string[]): OpAttr => ({
    name,
    type: TF_ATTR.string,
    value,
  }),
  int: (name: string, value: number | bigint | readonly number[]): OpAttr => ({
    name,
    type: TF_ATTR.int,
    value,
  }),
  float: (name: string, value: number | readonly number[]): OpAttr => ({ name, type: TF_ATTR.float, value }),
  bool: (name: string, value: boolean | readonly boolean[]): OpAttr => ({ name, type: TF_ATTR.bool, value }),
  type: (name: string, dtype: TfDtypeName | readonly TfDtypeName[]): OpAttr => ({
    name,
    type: TF_ATTR.type,
    value: typeof dtype === 'string' ? TF_DTYPE[dtype] : dtype.map((each) => TF_DTYPE[each]),
  }),
  shape: (name: string, value: readonly number[] | readonly (readonly number[])[]): OpAttr => ({
    name,
    type: TF_ATTR.shape,
    value,
  }),
};
