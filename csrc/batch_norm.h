// Batch normalisation over the rows of (rows, channels) arrays, and its gradient. Plain arithmetic: XLA's side is in
// batch_norm_ffi.cc.
#pragma once

#include <cstdint>

#include "parallel.h"

namespace lamina {

// x, y and their gradients are float32 or bfloat16, everything of a channel float32; sums are taken in double.
struct BatchNorm {
  bool half;  // bfloat16
  int64_t slices, rows, channels;
  float epsilon;

  int64_t bytes() const { return rows * channels * (half ? 2 : 4); }
  int64_t scratch_bytes() const;

  // y = (x - mean) scale / sqrt(var + epsilon) + bias, with the rows' own mean and biased var.
  void forward(const Schedule& schedule, const void* x, const float* scale, const float* bias, void* y, float* mean,
               float* var, void* scratch) const;

  void backward(const Schedule& schedule, const void* dy, const void* x, const float* scale, const float* mean,
                const float* var, void* dx, float* d_scale, float* d_bias, void* scratch) const;
};

}  // namespace lamina
