// SPDX-License-Identifier: Apache-2.0

/** Specs of tfjs-core's suite that are left out, and why. A spec is left out if its full name contains an entry. */
export interface Exclusion {
  reason: string;
  specs: readonly string[];
}

const inSuite = (suite: string, specs: readonly string[]): string[] =>
  specs.map((spec) => `${suite} test-tensorflow {} ${spec}`);

/**
 * What the TensorFlow.js Node backend does not do, by its own maintainers' account: the specs that tfjs-node 4.22
 * leaves out of the same suite. Nothing is left out because of tfgeo's binding.
 */
export const EXCLUSIONS: readonly Exclusion[] = [
  {
    reason: 'the Node backend has no kernel for it',
    specs: [
      ...['bitwiseAnd', 'depthwiseConv2D', 'separableConv2d', 'maxPoolWithArgmax', 'rotate', 'denseBincount'],
      ...[
        'image.transform',
        'raggedGather',
        'raggedRange',
        'raggedTensorToTensor',
        'searchSorted',
        'upperBound',
      ],
      ...['lowerBound', 'sparseFillEmptyRows', 'sparseReshape', 'sparseSegmentMean', 'sparseSegmentSum'],
      ...['stringNGrams', 'stringSplit', 'stringToHashBucketFast'],
    ],
  },
  {
    reason: 'it asks for the versions of packages that the bundle does not hold',
    specs: ['version version'],
  },
  {
    reason: 'memory of the Node backend is counted by TensorFlow, not by tfjs',
    specs: [
      'unreliable is true due to both auto gc and string tensors',
      'unreliable is true due to auto gc',
      'complex64 memory',
    ],
  },
  {
    reason: 'it expects the message of another backend',
    specs: [
      ...inSuite('depthToSpace', [
        'throws when blocksize < 2',
        'throws when CPU backend used with data format NCHW',
      ]),
      ...inSuite('einsum', [
        '2d matrix calculate trace: duplicate axes not implemented yet',
        'nonexistent dimension throws error',
      ]),
    ],
  },
  {
    reason: 'ScatterND of TensorFlow takes its shape as an int32 tensor only',
    specs: inSuite('scatterND', [
      'should work for 2d',
      'should work for simple 1d',
      'should work for multiple 1d',
      'should sum the duplicated indices',
      'should work for tensorLike input',
    ]),
  },
  {
    reason: 'pooling kernels of TensorFlow take no explicit padding and no rounding mode',
    specs: [
      ...inSuite('maxPool', [
        'x=[2,2,3] f=[2,2] s=3 p=1 default dimRoundingMode',
        'x=[2,2,3] f=[1,1] s=2 p=1 dimRoundingMode=floor',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=floor',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=round',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=ceil',
        'x=[3,3,1] f=[3,3] s=1 p=explicit',
      ]),
      ...inSuite('maxPoolBackprop', ['gradient x=[3,3,1] f=3 s=1 p=explicit']),
      ...inSuite('avgPool', [
        'x=[3,3,1] f=[3,3] s=1 p=explicit',
        'x=[2,2,3] f=[2,2] s=3 p=1 default dimRoundingMode',
        'x=[2,2,3] f=[1,1] s=2 p=1 dimRoundingMode=floor',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=floor',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=round',
        'x=[2,2,3] f=[2,2] s=3 p=1 dimRoundingMode=ceil',
        'gradient x=[3,3,1] f=[3,3] s=1 p=explicit',
      ]),
      ...inSuite('avgPool3d', [
        'x=[1,2,2,2,1] f=[2,2,2] s=1 p=1 roundingMode=floor',
        'x=[1,1,1,1,1] f=[1,1,3] s=1 p=valid',
        'x=[1,1,1,1,1] f=[2,2,2] s=1 p=2',
      ]),
      ...inSuite('maxPool3d', ['x=[1,2,2,2,1] f=[2,2,2] s=1 p=1 roundingMode=floor']),
      ...inSuite(
        'pool',
        ['max', 'avg'].flatMap((kind) => [
          `${kind} x=[3,3,1] f=[3,3] s=1 d=1 p=explicit`,
          `${kind} x=[3,3,1] f=[3,3] s=3 d=1 p=explicit defualt dimRoundingMode`,
          `${kind} x=[3,3,1] f=[3,3] s=3 d=1 p=explicit dimRoundingMode=floor`,
          `${kind} x=[3,3,1] f=[3,3] s=3 d=1 p=explicit dimRoundingMode=round`,
          `${kind} x=[3,3,1] f=[3,3] s=3 d=1 p=explicit dimRoundingMode=ceil`,
          `${kind} x=[2,2,3] f=[1,1] s=2 p=1 fractional outputs default rounding`,
        ]),
      ),
    ],
  },
  {
    reason: 'convolutions on the CPU take NHWC only, and transposed ones no explicit padding',
    specs: [
      ...inSuite('conv2d', [
        'x=[2,1,2,2] f=[1,1,1,1] s=1 d=1 p=0 NCHW',
        'x=[1,2,2] f=[2,2,1,1] s=1 d=1 p=explicit NCHW',
        'x=[1,2,2] f=[2,2,1,1] s=1 d=1 p=same NCHW',
        'x=[2,2,2] f=[2,2,2,1] s=1 d=1 p=same NCHW',
        'x=[2,1,2,2] f=[2,2,1,1] s=1 d=1 p=same NCHW',
        'gradient x=[1,1,3,3] f=[2,2,1,1] s=1 p=0 NCHW',
        'gradient x=[2,1,3,3] f=[2,2,1,1] s=1 p=0 NCHW',
      ]),
      ...inSuite('fused conv2d', ['basic in NCHW', 'im2row in NCHW', 'batch in NCHW']),
      ...inSuite('conv2dTranspose', [
        'input=3x3x1,d2=1,f=2,s=2,p=explicit',
        'input=8x8x8,output=4x4x8,f=8,s=1,inDepth=8,p=same vec4',
        'gradient input=[1,3,3,1] f=[2,2,2,1] s=[1,1] p=explicit',
      ]),
    ],
  },
  {
    reason: 'TensorFlow has no kernel for this rank or dtype',
    specs: [
      ...inSuite('argmax', ['6D, axis=0']),
      ...inSuite('diag', ['complex', 'bool']),
      ...inSuite('leakyrelu', ['int32']),
      ...inSuite('step kernel', ['with int32 tensor']),
      ...['greaterEqual', 'greater', 'lessEqual', 'less'].flatMap((op) =>
        inSuite(op, ['should support string comparison']),
      ),
    ],
  },
  {
    reason: 'TensorFlow treats NaN or very large numbers otherwise',
    specs: [
      ...inSuite('sign', ['basic', 'does not propagate NaNs', 'accepts a tensor-like object']),
      ...inSuite('unique', ['1d tensor with NaN and Infinity']),
      ...inSuite('tan', ['numbers exceed float32 precision']),
    ],
  },
  {
    reason: "TensorFlow's random numbers differ between calls with the same seed",
    specs: inSuite('multinomial', ['creates the same data given the same seed']),
  },
];

/** Specs that run and fail, and why; any other failure makes the run fail. */
export const KNOWN_FAILURES: readonly Exclusion[] = [
  {
    reason: 'Round of large negative int32 numbers gives 0 in TensorFlow 2.21',
    specs: ['round test-tensorflow {} int32'],
  },
];
