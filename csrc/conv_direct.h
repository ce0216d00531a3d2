// Convolution and its two gradients by oneDNN's own kernels: any window, stride, padding, dilation and groups.
#pragma once

#include "conv.h"

namespace lamina {

class DirectConvolution : public Convolution {
 public:
  // Throws dnnl::error where oneDNN has no fast kernel for it.
  DirectConvolution(const Geometry& geometry, Direction direction, int64_t slices, Epilogue epilogue);

  void pack(const Schedule& schedule, const void* w, void* packed, void* scratch) const override;
  void run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch, const float* bias,
           bool packed) const override;

 private:
  struct Slice {
    dnnl::primitive primitive;
    dnnl::memory::desc x, y, scratchpad;
    int64_t x_offset, y_offset;  // bytes
    int64_t scratchpad_at, partial_at;
  };

  // A part of the weights on the way between the caller's layout and the kernels'.
  struct Reorder {
    dnnl::reorder primitive;
    dnnl::memory::desc from, to, scratchpad;
    int64_t at;
  };

  void add(const Geometry& part, int64_t x_offset, int64_t y_offset);
  void add_reorders(int64_t slices);
  void reorder(const Schedule& schedule, const void* from, void* to, void* scratch) const;
  void run_weights(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch) const;

  Direction direction_;
  Epilogue epilogue_;
  dnnl::memory::desc bias_;
  std::vector<Slice> slices_;
  dnnl::memory::desc plain_w_, w_;        // as the caller and as the kernels have it
  std::vector<Reorder> reorders_;         // between the two; none where they are the same
  int64_t w_at_ = 0;
};

}  // namespace lamina
