#include "conv_depthwise.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "gates.h"
#include "wide.h"

namespace lamina {
namespace {

constexpr int64_t kChannels = 64;  // taken together: their sums stay in registers

inline float value(float number) { return number; }

inline float value(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

// sums[c] += the sum over `count` places of x dy; from one place to the next, x and dy are so many numbers apart.
template <typename Number>
LAMINA_WIDE void add_row(int64_t count, int64_t channels, const Number* __restrict x, int64_t x_step,
                         const Number* __restrict dy, int64_t dy_step, float* __restrict sums) {
  int64_t first = 0;
  for (; first + kChannels <= channels; first += kChannels) {
    float own[kChannels] = {};
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t c = 0; c < kChannels; ++c) {
        own[c] += value(x[i * x_step + first + c]) * value(dy[i * dy_step + first + c]);
      }
    }
    for (int64_t c = 0; c < kChannels; ++c) sums[first + c] += own[c];
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = first; c < channels; ++c) sums[c] += value(x[i * x_step + c]) * value(dy[i * dy_step + c]);
  }
}

// The first and the last-but-one result whose window's tap lies in the picture.
std::pair<int64_t, int64_t> inside(const Axis& axis, int64_t tap) {
  const int64_t offset = tap * axis.dilation - axis.low;  // of what result 0 meets
  const int64_t first = offset < 0 ? (-offset + axis.stride - 1) / axis.stride : 0;
  const int64_t last = offset < axis.size ? (axis.size - 1 - offset) / axis.stride + 1 : 0;
  return {first, std::min(last, axis.out)};
}

}  // namespace

DepthwiseWeights::DepthwiseWeights(const Geometry& g, int64_t slices)
    : g_(g), slices_(std::clamp<int64_t>(slices, 1, g.batch)), weights_(g.w_elements()) {
  while (g_.axes.size() < 3) g_.axes.insert(g_.axes.begin(), Axis{1, 1, 1, 1, 0, 0, 1});
  name_ = "ours, depthwise";
  scratch_bytes_ = slices_ * aligned(weights_ * 4);
}

void DepthwiseWeights::add_example(int64_t example, const void* x, const void* dy, float* sums) const {
  const auto &[a, b, c] = std::tie(g_.axes[0], g_.axes[1], g_.axes[2]);
  const int64_t channels = g_.in;
  for (int64_t p = 0; p < a.window; ++p) {
    const auto [first_a, last_a] = inside(a, p);
    for (int64_t q = 0; q < b.window; ++q) {
      const auto [first_b, last_b] = inside(b, q);
      for (int64_t i = first_a; i < last_a; ++i) {
        for (int64_t j = first_b; j < last_b; ++j) {
          const int64_t row = (example * a.size + i * a.stride + p * a.dilation - a.low) * b.size + j * b.stride +
                              q * b.dilation - b.low;
          const int64_t dy_row = ((example * a.out + i) * b.out + j) * c.out;
          for (int64_t r = 0; r < c.window; ++r) {
            const auto [first, last] = inside(c, r);
            if (first >= last) continue;
            const int64_t x_at = (row * c.size + first * c.stride + r * c.dilation - c.low) * channels;
            const int64_t dy_at = (dy_row + first) * channels;
            float* own = sums + ((p * b.window + q) * c.window + r) * channels;
            const auto add = [&](const auto* x_numbers, const auto* dy_numbers) {
              add_row(last - first, channels, x_numbers + x_at, c.stride * channels, dy_numbers + dy_at, channels, own);
            };
            if (g_.bytes(1) == 2) {
              add(static_cast<const uint16_t*>(x), static_cast<const uint16_t*>(dy));
            } else {
              add(static_cast<const float*>(x), static_cast<const float*>(dy));
            }
          }
        }
      }
    }
  }
}

void DepthwiseWeights::run(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch,
                           const float*, bool) const {
  const auto sums_of = [&](int64_t slice) {
    return reinterpret_cast<float*>(at(scratch, slice * aligned(weights_ * 4)));
  };
  parallel_for(schedule, slices_, [&](int64_t slice) {
    float* sums = sums_of(slice);
    std::fill_n(sums, weights_, 0.0f);
    const int64_t last = g_.batch * (slice + 1) / slices_;
    for (int64_t example = g_.batch * slice / slices_; example < last; ++example) add_example(example, x, dy, sums);
  });
  float* total = sums_of(0);
  for (int64_t slice = 1; slice < slices_; ++slice) {
    for (int64_t i = 0; i < weights_; ++i) total[i] += sums_of(slice)[i];
  }
  if (g_.bytes(1) == 2) {
    from_float(total, static_cast<uint16_t*>(dw), weights_);
  } else {
    std::copy_n(total, weights_, static_cast<float*>(dw));
  }
}

}  // namespace lamina
