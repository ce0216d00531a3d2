// The weight gradient of a convolution as one matrix product for each tap of the window: where maps are small and
// channels many, products are faster than oneDNN's convolution.
#pragma once

#include "conv.h"

namespace lamina {

class TapProducts : public Convolution {
 public:
  // Whether to prefer it; the rule was measured (docs/kernels.md).
  static bool faster(const Geometry& geometry);

  TapProducts(const Geometry& geometry, int64_t slices);

  void pack(const Schedule&, const void*, void*, void*) const override {}
  void run(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch, const float* bias,
           bool packed) const override;

 private:
  void gather(int64_t tap, const void* x, void* rows) const;

  Geometry g_;
  int64_t slices_, taps_, halves_, rows_, slice_bytes_;
  dnnl::memory::desc a_, b_, c_, scratchpad_;
  dnnl::matmul product_;
};

}  // namespace lamina
