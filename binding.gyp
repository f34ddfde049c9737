# SPDX-License-Identifier: Apache-2.0
# Built through src/engine/native_build.ts, one part at a time:
#   -Dtfgeo_part=addon   the loader and the N-API addon (C API of TensorFlow only; any TensorFlow, any Node)
#   -Dtfgeo_part=ops     the op library (TensorFlow's C++ ABI: for the TensorFlow it was built for)
# -Dtf_include=DIR and -Dtf_lib=DIR name TensorFlow's headers and libraries.
#
# Source files: csrc/node/*.cc -> addon; csrc/tf/*.cc and csrc/kernels/*.cc -> op library (all of them, no list to edit).
{
  'variables': {
    'tfgeo_part%': 'addon',
    'tf_include%': '',
    'tf_lib%': '',
  },
  'target_defaults': {
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags!': ['-O2'],
    'cflags_cc': ['-std=c++17', '-fexceptions', '-O3', '-fvisibility=hidden', '-Wall', '-Wextra'],
    # TensorFlow's headers are not ours to warn about.
    'cflags': ['-isystem', '<(tf_include)'],
    'defines': ['NAPI_VERSION=8'],
  },
  'conditions': [
    ['tfgeo_part=="addon"', {
      'targets': [
        {
          'target_name': 'tfgeo_loader',
          'sources': ['csrc/node/loader.cc'],
          'libraries': ['-ldl'],
        },
        {
          'target_name': 'tfgeo_node',
          'sources': ['<!@(node -p "require(\'fs\').readdirSync(\'csrc/node\').filter(f => f.endsWith(\'.cc\') && f !== \'loader.cc\').map(f => \'csrc/node/\' + f).join(\' \')")'],
        },
      ],
    }],
    ['tfgeo_part=="ops"', {
      'targets': [
        {
          'target_name': 'tfgeo_ops',
          'type': 'shared_library',
          'product_prefix': '',
          'sources': ['<!@(node -p "[\'tf\', \'kernels\'].filter(d => require(\'fs\').existsSync(\'csrc/\' + d)).flatMap(d => require(\'fs\').readdirSync(\'csrc/\' + d).filter(f => f.endsWith(\'.cc\')).map(f => \'csrc/\' + d + \'/\' + f)).join(\' \')")'],
          'include_dirs': ['csrc'],
          # Without it roots are calls, and loops with roots no vectors.
          'cflags_cc': ['-frtti', '-fno-math-errno'],
          # The alignment TensorFlow's wheels are built with; a different one is another ABI.
          'defines': ['EIGEN_MAX_ALIGN_BYTES=64'],
          'libraries': ['-L<(tf_lib)', '-l:libtensorflow_framework.so.2'],
        },
      ],
    }],
  ],
}
