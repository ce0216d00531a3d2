// Batch normalisation over the rows of (rows, channels) arrays, what often follows it, and the gradient. Plain arithmetic:
// XLA's side is in batch_norm_ffi.cc.
#pragma once

#include <cstdint>

#include "parallel.h"

namespace lamina {

// What becomes of a normalised value before it is stored: itself, its ReLU, or that of its sum with another array's.
enum class After { kNothing, kRelu, kSumRelu };

// x, y, the array that is added, and their gradients are float32 or bfloat16, everything of a channel float32; sums are
// taken in double.
struct BatchNorm {
  bool half;  // bfloat16
  After after;
  float bound;  // of the ReLU, min(max(value, 0), bound): infinity, or 6
  int64_t slices, rows, channels;
  float epsilon;

  int64_t bytes() const { return rows * channels * (half ? 2 : 4); }
  int64_t scratch_bytes() const;

  // y = (x - mean) scale / sqrt(var + epsilon) + bias, with the rows' own mean and biased var, and what comes after.
  // `added`: with kSumRelu.
  void forward(const Schedule& schedule, const void* x, const float* scale, const float* bias, const void* added, void* y,
               float* mean, float* var, void* scratch) const;

  // `y` and `d_added`: with kSumRelu.
  void backward(const Schedule& schedule, const void* dy, const void* x, const float* scale, const float* bias,
                const float* mean, const float* var, const void* y, void* dx, float* d_scale, float* d_bias,
                void* d_added, void* scratch) const;

 private:
  float gain_of(float scale, float var) const;
};

}  // namespace lamina
