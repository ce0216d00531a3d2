// The weight gradient of a depthwise convolution with any window: oneDNN's own kernel for it ends at 3×3.
#pragma once

#include "conv.h"

namespace lamina {

class DepthwiseWeights : public Convolution {
 public:
  // Whether each channel is convolved with a window of its own.
  static bool fits(const Geometry& geometry) { return geometry.groups == geometry.in && geometry.in == geometry.out; }

  DepthwiseWeights(const Geometry& geometry, int64_t slices);

  void pack(const Schedule&, const void*, void*, void*) const override {}
  void run(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch, const float* bias,
           bool packed) const override;

 private:
  void add_example(int64_t example, const void* x, const void* dy, float* sums) const;

  Geometry g_;  // with three axes of space
  int64_t slices_, weights_;
};

}  // namespace lamina
