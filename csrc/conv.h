// Convolution and its two gradients on channels-last data, over oneDNN. Plain arithmetic: XLA's side is in conv_ffi.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "onednn.h"
#include "parallel.h"

namespace lamina {

// With y = conv(x, w): which of the three is computed from the other two (of their gradients).
enum class Direction { kForward, kData, kWeights };

// What a forward convolution does to its sums before it stores them.
enum class Epilogue { kNone, kBias, kBiasRelu };

struct Axis {
  int64_t size, out, window, stride, low, high, dilation;
};

// x (batch, *size, in), w (*window, in / groups, out), y (batch, *out, out), all dense and of one type.
struct Geometry {
  dnnl::memory::data_type type;
  int64_t batch, in, out, groups;
  std::vector<Axis> axes;

  int64_t x_elements() const;
  int64_t w_elements() const;
  int64_t y_elements() const;
  int64_t bytes(int64_t elements) const { return elements * dnnl::memory::data_type_size(type); }
};

class TapProducts;

// One convolution in one direction, cut into slices that threads share. The number of slices fixes the order of every
// sum, so that the result does not depend on how many threads there are.
class Convolution {
 public:
  // Throws dnnl::error where oneDNN has no fast kernel for it.
  Convolution(const Geometry& geometry, Direction direction, int64_t slices, Epilogue epilogue = Epilogue::kNone);

  // Bytes of memory that `run` needs beside its operands; the memory is aligned to 64 bytes.
  int64_t scratch_bytes() const { return scratch_bytes_; }

  // oneDNN's name of the kernel.
  const std::string& name() const { return name_; }

  // Forward: (x, w) -> y. Data: (dy, w) -> dx. Weights: (x, dy) -> dw. `bias`: (out), float32, with an epilogue.
  void run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch,
           const float* bias = nullptr) const;

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
  std::shared_ptr<const TapProducts> taps_;  // for a weight gradient that is computed by it
  dnnl::memory::desc bias_;
  std::vector<Slice> slices_;
  dnnl::memory::desc plain_w_, w_;        // as the caller and as the kernels have it
  std::vector<Reorder> reorders_;         // between the two; none where they are the same
  int64_t w_at_ = 0, scratch_bytes_ = 0;
  std::string name_;
};

// From a cache. `values`: type (0 float32, 1 bfloat16), slices, batch, in, out, groups, then seven for each axis.
std::shared_ptr<const Convolution> convolution(Direction direction, const int64_t* values, size_t count,
                                               Epilogue epilogue = Epilogue::kNone);

Geometry read_geometry(const int64_t* values, size_t count);

}  // namespace lamina
