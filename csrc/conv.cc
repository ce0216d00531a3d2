#include "conv.h"

#include <stdexcept>

#include "conv_depthwise.h"
#include "conv_direct.h"
#include "conv_taps.h"
#include "conv_winograd.h"

namespace lamina {
namespace {

using dnnl::memory;

int64_t product(const std::vector<Axis>& axes, int64_t Axis::*member) {
  int64_t total = 1;
  for (const Axis& axis : axes) total *= axis.*member;
  return total;
}

std::shared_ptr<const Convolution> fastest(const Geometry& g, Direction direction, int64_t slices, Epilogue epilogue) {
  if (const int64_t outputs = Winograd::faster(g)) {
    try {
      return std::make_shared<const Winograd>(g, direction, slices, epilogue, outputs);
    } catch (const dnnl::error&) {
      // No fast product of these types on this CPU.
    }
  }
  if (direction == Direction::kWeights && TapProducts::faster(g)) return std::make_shared<const TapProducts>(g, slices);
  auto direct = std::make_shared<const DirectConvolution>(g, direction, slices, epilogue);
  const bool slow = DepthwiseWeights::fits(g) && direct->name().find("dw") == std::string::npos;
  if (direction == Direction::kWeights && slow) return std::make_shared<const DepthwiseWeights>(g, slices);
  return direct;
}

}  // namespace

int64_t Geometry::x_elements() const { return batch * product(axes, &Axis::size) * in; }
int64_t Geometry::w_elements() const { return product(axes, &Axis::window) * in / groups * out; }
int64_t Geometry::y_elements() const { return batch * product(axes, &Axis::out) * out; }

Geometry read_geometry(const int64_t* values, size_t count) {
  constexpr size_t kHead = 7, kAxis = 7;
  if (count < kHead + kAxis || (count - kHead) % kAxis) throw std::invalid_argument("a geometry of the wrong length");
  const auto type = values[0] ? memory::data_type::bf16 : memory::data_type::f32;
  Geometry g{type, values[2] != 0, values[3], values[4], values[5], values[6], {}};
  for (size_t i = kHead; i < count; i += kAxis) {
    g.axes.push_back({values[i], values[i + 1], values[i + 2], values[i + 3], values[i + 4], values[i + 5], values[i + 6]});
  }
  return g;
}

std::shared_ptr<const Convolution> convolution(Direction direction, const int64_t* values, size_t count,
                                               Epilogue epilogue) {
  static Cache<Convolution>& cache = *new Cache<Convolution>(512);
  Key key(values, values + count);
  key.push_back(static_cast<int64_t>(direction));
  key.push_back(static_cast<int64_t>(epilogue));
  return cache.get(key, [&] {
    return fastest(read_geometry(values, count), direction, values[1], epilogue);
  });
}

}  // namespace lamina
