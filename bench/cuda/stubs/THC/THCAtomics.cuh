// SPDX-License-Identifier: Apache-2.0
// Stands in for PyTorch's header of this name: the reference kernels include it and use nothing of it.
