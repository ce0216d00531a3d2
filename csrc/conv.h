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
enum class Epilogue { kNone, kBias, kBiasRelu, kBiasRelu6 };

struct Axis {
  int64_t size, out, window, stride, low, high, dilation;
};

// x (batch, *size, in), w (*window, in / groups, out), y (batch, *out, out), all dense and of one type.
struct Geometry {
  dnnl::memory::data_type type;
  bool exact;  // no algorithm that rounds more than a sum of products does
  int64_t batch, in, out, groups;
  std::vector<Axis> axes;

  int64_t x_elements() const;
  int64_t w_elements() const;
  int64_t y_elements() const;
  int64_t bytes(int64_t elements) const { return elements * dnnl::memory::data_type_size(type); }
};

// One convolution in one direction, cut into slices that threads share. The number of slices fixes the order of every
// sum, so that the result does not depend on how many threads there are.
class Convolution {
 public:
  virtual ~Convolution() = default;

  // Bytes of memory that `run` and `pack` need beside their operands; the memory is aligned to 64 bytes.
  int64_t scratch_bytes() const { return scratch_bytes_; }

  // Bytes of the weights as the kernel wants them: 0 where it takes them as they are.
  int64_t packed_bytes() const { return packed_bytes_; }

  // The kernel's name.
  const std::string& name() const { return name_; }

  // The weights as the kernel wants them; forward and data only, and not where packed_bytes() is 0.
  virtual void pack(const Schedule& schedule, const void* w, void* packed, void* scratch) const = 0;

  // Forward: (x, w) -> y. Data: (dy, w) -> dx. Weights: (x, dy) -> dw. `bias`: (out), float32, with an epilogue.
  // `packed`: w has been packed.
  virtual void run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch,
                   const float* bias = nullptr, bool packed = false) const = 0;

 protected:
  int64_t scratch_bytes_ = 0, packed_bytes_ = 0;
  std::string name_;
};

// The fastest that there is, by rules that were measured (docs/kernels.md), from a cache. Throws dnnl::error where oneDNN
// has no fast kernel for it.
// `values`: type (0 float32, 1 bfloat16), slices, exact, batch, in, out, groups, then seven for each axis.
std::shared_ptr<const Convolution> convolution(Direction direction, const int64_t* values, size_t count,
                                               Epilogue epilogue = Epilogue::kNone);

Geometry read_geometry(const int64_t* values, size_t count);

}  // namespace lamina
