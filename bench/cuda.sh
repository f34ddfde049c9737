#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Times (and checks) the CUDA kernels on a machine with a GPU and nvcc; needs neither Node nor a network.
#
#   bench/cuda.sh [--reference DIR]... [--out DIR] [--only TEXT] [--rounds N] [--cold]
#
#   --reference DIR  a folder with other people's kernels, fetched by you: Deformable-DETR's
#                    models/ops/src/cuda/ms_deform_im2col_cuda.cuh, or mmcv's common/cuda/ms_deform_attn_cuda_kernel.cuh
#                    and common_cuda_helper.hpp, or a checkout of either; may be given again
#   --reference-library SO  kernels compiled by you behind bench/cuda/reference.h; may be given again
#   --python PYTHON  a Python whose PyTorch sees the GPU (python3); --no-torch leaves PyTorch out
#   --out DIR        where results go (bench/results)
#   --only TEXT      only rows with TEXT in "case, samples, type"; nothing is then written
#   --rounds N       measurements of each (10)
#   --cold           overwrites the L2 cache before every run
#   --arch sm_XX     the card to compile for (default: this machine's)
#   --compile        builds and stops
#   --check [DIR]    instead of timing, checks the kernels: random shapes, and the golden vectors of a folder DIR
#   --sanitizer      instead of timing, checks them under compute-sanitizer
#   --ncu            instead of timing, profiles one encoder case with Nsight Compute
#   --shim           compiles everything for the processor (csrc/dev/cuda_shim), at tiny sizes: tries the program itself
#   --build DIR      where programs are built (build/bench_cuda)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

fail() { echo "cuda.sh: $*" >&2; exit 2; }

references=() python=python3 torch=1 out=bench/results arch='' task=time shim=0 build=build/bench_cuda fixtures='' options=()
while [ $# -gt 0 ]; do
  case $1 in
    --reference | --reference-library | --python | --out | --only | --rounds | --arch | --build) [ $# -gt 1 ] || fail "$1 needs a value" ;;
  esac
  case $1 in
    --reference) [ -d "$2" ] || fail "there is no folder $2"; references+=("$2"); shift ;;
    --python) python=$2; shift ;;
    --no-torch) torch=0 ;;
    --out) out=$2; shift ;;
    --only | --rounds | --reference-library) options+=("$1" "$2"); shift ;;
    --cold) options+=(--cold) ;;
    --arch) arch=$2; shift ;;
    --compile) task=compile ;;
    --check) task=check; case ${2:--} in -*) ;; *) fixtures=$2; shift ;; esac ;;
    --sanitizer) task=sanitizer ;;
    --ncu) task=ncu ;;
    --shim) shim=1 ;;
    --build) build=$2; shift ;;
    -h | --help) sed -n '3,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) fail "unknown flag $1; --help lists them" ;;
  esac
  shift
done

# ---- other people's kernels ----

# What is written with the results; other people's paths do not belong there.
shown=bench/cuda.sh
headers=()
for folder in ${references[@]+"${references[@]}"}; do
  found=0
  shown+=' --reference DIR'
  for name in ms_deform_im2col_cuda.cuh ms_deform_attn_cuda_kernel.cuh; do
    header=$(find "$folder" -name "$name" -print -quit)
    [ -n "$header" ] || continue
    found=1
    headers+=("$header")
    case $name in ms_deform_attn*)
      [ -f "$(dirname "$header")/common_cuda_helper.hpp" ] || fail "$header needs common_cuda_helper.hpp beside it" ;;
    esac
  done
  [ "$found" = 1 ] || fail "$folder has neither ms_deform_im2col_cuda.cuh nor ms_deform_attn_cuda_kernel.cuh"
done
[ "$shim" = 0 ] || [ ${#headers[@]} -eq 0 ] || fail '--reference needs nvcc, it does not go with --shim'

# ---- compilers ----

cxx=${CXX:-g++}
command -v "$cxx" >/dev/null || fail "there is no $cxx"
if [ "$shim" = 1 ]; then
  arch=shim
else
  nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
  [ -x "$nvcc" ] || fail "there is no nvcc; install CUDA's compiler, set NVCC, or give --shim"
  if [ -z "$arch" ]; then
    capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d ' .')
    [ -n "$capability" ] || fail "nvidia-smi names no GPU; give --arch sm_XX"
    arch=sm_$capability
  fi
fi
build=$build/$arch
mkdir -p "$build"

# current OUTPUT: whether it is newer than everything it may be made of.
current() { [ -e "$1" ] && [ -z "$(find csrc/kernels csrc/dev bench -newer "$1" -type f \
  -not -path 'bench/results/*' -print -quit)" ]; }

# device OUTPUT [FLAGS AND SOURCES]: a shared library of .cu files.
device() {
  local output=$1
  shift
  if current "$output"; then return; fi
  if [ "$shim" = 1 ]; then
    "$cxx" -std=c++17 -O2 -shared -fPIC -fvisibility=hidden -pthread -I csrc/dev/cuda_shim -x c++ "$@" -o "$output"
  else
    "$nvcc" -std=c++17 -O3 -arch="$arch" -shared -cudart static -Xcompiler -fPIC,-fvisibility=hidden \
      --diag-suppress 177 "$@" -o "$output"
  fi
}

# program OUTPUT SOURCE: an executable beside the libraries, with the CPU kernels in it.
program() {
  local output=$1 source=$2
  if current "$output"; then return; fi
  if [ "$shim" = 1 ]; then
    "$cxx" -std=c++17 -O2 -pthread -I csrc/dev/cuda_shim -x c++ -c "$source" -o "$output.o"
    "$cxx" -pthread "$output.o" "$build"/cpu/*.o "$build/tfgeo_cuda.so" -Wl,-rpath,'$ORIGIN' -ldl -o "$output"
  else
    "$nvcc" -std=c++17 -O2 -arch="$arch" -Xcompiler -pthread -x cu -c "$source" -o "$output.o"
    "$nvcc" -arch="$arch" -cudart static -Xcompiler -pthread "$output.o" "$build"/cpu/*.o "$build/tfgeo_cuda.so" \
      -Xlinker -rpath,'$ORIGIN' -ldl -o "$output"
  fi
}

# ---- ours ----

echo "compiling for $arch ..."
kernels=(csrc/kernels/*.cu csrc/kernels/ms_deform_attn_check.cc)
if [ "$shim" = 1 ]; then
  for file in csrc/dev/cuda_shim/*.cc; do [ "$(basename "$file")" = self_test.cc ] || kernels+=("$file"); done
fi
device "$build/tfgeo_cuda.so" "-DTFGEO_CUDA_TARGETS=\"$arch\"" "${kernels[@]}"
mkdir -p "$build/cpu"
for file in csrc/kernels/ms_deform_attn*.cc csrc/kernels/isa.cc; do
  object=$build/cpu/$(basename "$file" .cc).o
  current "$object" || "$cxx" -std=c++17 -O3 -fPIC -c "$file" -o "$object"
done

if [ "$task" = check ] || [ "$task" = sanitizer ]; then
  program "$build/check" csrc/dev/ms_deform_attn_cuda.cc
  if [ "$task" = check ]; then
    "$build/check" check
    if [ -n "$fixtures" ]; then "$build/check" fixtures "$fixtures"; fi
    exit
  fi
  sanitizer=$(command -v compute-sanitizer || echo "$(dirname "${nvcc:-/}")/compute-sanitizer")
  [ -x "$sanitizer" ] || fail 'there is no compute-sanitizer; it comes with CUDA'
  for tool in memcheck racecheck initcheck synccheck; do
    echo "== $tool"
    "$sanitizer" --tool "$tool" --error-exitcode 1 "$build/check" check
  done
  exit
fi
program "$build/bench" bench/ms_deform_attn_cuda.cu
for header in ${headers[@]+"${headers[@]}"}; do
  case $header in *ms_deform_im2col_cuda.cuh) name=ddetr ;; *) name=mmcv ;; esac
  rm -f "$build/reference_$name.so" # what it is made of lies elsewhere
  device "$build/reference_$name.so" -I "$(dirname "$header")" -I bench/cuda/stubs "bench/cuda/reference_$name.cu"
  options+=(--reference-library "$build/reference_$name.so")
done
if [ "$task" = compile ]; then exit; fi

# ---- run ----

if [ "$task" = ncu ]; then
  ncu=$(command -v ncu || echo "$(dirname "${nvcc:-/}")/ncu")
  [ -x "$ncu" ] || fail 'there is no ncu; it comes with CUDA (Nsight Compute)'
  # Each kernel twice is enough: warm-up and one more.
  exec "$ncu" --set full -k 'regex:(Forward|Backward)Kernel' -c 8 "$build/bench" \
    --only 'encoder 800x800, local, float32' --rounds 1
fi
if [ "$torch" = 1 ]; then
  device=cuda
  if [ "$shim" = 1 ]; then device=cpu; fi
  if "$python" -c "import numpy, torch; assert '$device' == 'cpu' or torch.cuda.is_available()" 2>/dev/null; then
    options+=(--torch "$python" bench/ms_deform_attn_torch.py --torch-device "$device")
  else
    echo "$python has no PyTorch that computes on $device: it is left out"
  fi
fi
if [ "$shim" = 1 ]; then options+=(--smoke); fi
"$build/bench" --out "$out" --command "$shown" ${options[@]+"${options[@]}"}
