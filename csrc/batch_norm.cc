#include "batch_norm.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "gates.h"
#include "wide.h"

namespace lamina {
namespace {

constexpr int64_t kRows = 8;      // taken together, so that sums stay in registers meanwhile
constexpr int64_t kPiece = 256;   // rows that are summed in float32
constexpr int64_t kBuffer = 4096; // numbers converted at a time: they stay in the first-level cache

int64_t up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Sums over `rows` rows of a - shift and its square.
LAMINA_WIDE void sums(int64_t rows, int64_t channels, const float* __restrict a, const float* __restrict shift,
                      float* __restrict first, float* __restrict second) {
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    const float* __restrict block = a + row * channels;
    for (int64_t c = 0; c < channels; ++c) {
      float s = 0, q = 0;
      for (int64_t k = 0; k < kRows; ++k) {
        const float value = block[k * channels + c] - shift[c];
        s += value;
        q += value * value;
      }
      first[c] += s;
      second[c] += q;
    }
  }
  for (; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const float value = a[row * channels + c] - shift[c];
      first[c] += value;
      second[c] += value * value;
    }
  }
}

// What reaches the normalised value of the gradient `d`: nothing where ReLU had cut it off. It had where the value,
// computed again, does not lie between 0 and the bound; after a sum where y does not.
template <After after>
LAMINA_INLINE float reaching(float d, float x, float mean, float gain, float bias, float y, float bound) {
  if (after == After::kNothing) return d;
  const float value = after == After::kRelu ? (x - mean) * gain + bias : y;
  return value > 0 && value < bound ? d : 0;
}

// Sums over `rows` rows of d and of d (x - mean), where d is what reaches the normalised values; after a sum it is also
// stored.
template <After after>
LAMINA_WIDE void products(int64_t rows, int64_t channels, const float* __restrict d, const float* __restrict x,
                          const float* __restrict mean, const float* __restrict gain, const float* __restrict bias,
                          const float* __restrict y, float bound, float* __restrict stored, float* __restrict first,
                          float* __restrict second) {
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) {
    for (int64_t c = 0; c < channels; ++c) {
      float s = 0, q = 0;
      for (int64_t k = 0; k < kRows; ++k) {
        const int64_t i = (row + k) * channels + c;
        const float value = reaching<after>(d[i], x[i], mean[c], gain[c], bias[c], after == After::kSumRelu ? y[i] : 0, bound);
        if (after == After::kSumRelu) stored[i] = value;
        s += value;
        q += value * (x[i] - mean[c]);
      }
      first[c] += s;
      second[c] += q;
    }
  }
  for (; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = row * channels + c;
      const float value = reaching<after>(d[i], x[i], mean[c], gain[c], bias[c], after == After::kSumRelu ? y[i] : 0, bound);
      if (after == After::kSumRelu) stored[i] = value;
      first[c] += value;
      second[c] += value * (x[i] - mean[c]);
    }
  }
}

template <After after>
LAMINA_WIDE void affine(int64_t rows, int64_t channels, const float* __restrict x, const float* __restrict mean,
                        const float* __restrict gain, const float* __restrict bias, const float* __restrict added,
                        float bound, float* __restrict y) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = row * channels + c;
      float value = (x[i] - mean[c]) * gain[c] + bias[c];
      if (after == After::kSumRelu) value += added[i];
      if (after != After::kNothing) value = value < 0 ? 0 : value > bound ? bound : value;  // not a number stays one
      y[i] = value;
    }
  }
}

template <After after>
LAMINA_WIDE void gradient(int64_t rows, int64_t channels, const float* __restrict d, const float* __restrict x,
                          const float* __restrict mean, const float* __restrict gain, const float* __restrict bias,
                          const float* __restrict slope, const float* __restrict offset, float bound,
                          float* __restrict dx) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = row * channels + c;
      // After a sum, d is what `products` stored.
      constexpr After mask = after == After::kRelu ? After::kRelu : After::kNothing;
      const float value = reaching<mask>(d[i], x[i], mean[c], gain[c], bias[c], 0, bound);
      dx[i] = gain[c] * value + slope[c] * (x[i] - mean[c]) + offset[c];
    }
  }
}

// The function of the three that belongs to what comes after.
template <typename Run>
auto chosen(After after, Run nothing, Run relu, Run sum) {
  return after == After::kNothing ? nothing : after == After::kRelu ? relu : sum;
}

// Rows of an array in float32, a block at a time: as they are, or through a buffer.
class Blocks {
 public:
  Blocks(bool half, int64_t channels, const void* array)
      : half_(half), channels_(channels), array_(const_cast<void*>(array)) {
    if (half) buffer_ = std::make_unique<float[]>(block(channels) * channels);
  }
  static int64_t block(int64_t channels) { return std::clamp<int64_t>(kBuffer / channels, 1, kPiece); }
  const float* read(int64_t row, int64_t rows) {
    if (!half_) return static_cast<const float*>(array_) + row * channels_;
    to_float(static_cast<const uint16_t*>(array_) + row * channels_, buffer_.get(), rows * channels_);
    return buffer_.get();
  }
  float* open(int64_t row) { return half_ ? buffer_.get() : static_cast<float*>(array_) + row * channels_; }
  void close(int64_t row, int64_t rows) {
    if (half_) from_float(buffer_.get(), static_cast<uint16_t*>(array_) + row * channels_, rows * channels_);
  }

 private:
  bool half_;
  int64_t channels_;
  void* array_;
  std::unique_ptr<float[]> buffer_;
};

// The parts of the scratch memory: for each slice two sums a channel in double and two in float32; four floats a channel.
struct Parts {
  Parts(const BatchNorm& norm, void* scratch) : channels(norm.channels) {
    char* next = static_cast<char*>(scratch);
    const auto take = [&](int64_t bytes) {
      char* start = next;
      next += up(bytes);
      return start;
    };
    doubles = reinterpret_cast<double*>(take(norm.slices * 2 * channels * 8));
    floats = reinterpret_cast<float*>(take(norm.slices * 2 * channels * 4));
    for (float*& each : own) each = reinterpret_cast<float*>(take(channels * 4));
  }
  int64_t channels;
  double* doubles;
  float* floats;
  float* own[4];
};

// For each slice of the rows, `add(first, count, a, b)` block by block; its float32 sums go over into the doubles.
template <typename Start>
void reduce(const BatchNorm& norm, const Schedule& schedule, const Parts& parts, const Start& start) {
  const int64_t channels = norm.channels, block = Blocks::block(channels);
  parallel_for(schedule, norm.slices, [&](int64_t slice) {
    double* wide = parts.doubles + slice * 2 * channels;
    float* narrow = parts.floats + slice * 2 * channels;
    std::fill_n(wide, 2 * channels, 0.0);
    auto add = start();
    const int64_t last = norm.rows * (slice + 1) / norm.slices;
    for (int64_t row = norm.rows * slice / norm.slices; row < last;) {
      std::fill_n(narrow, 2 * channels, 0.0f);
      for (const int64_t end = std::min(row + kPiece, last); row < end;) {
        const int64_t count = std::min(block, end - row);
        add(row, count, narrow, narrow + channels);
        row += count;
      }
      for (int64_t c = 0; c < 2 * channels; ++c) wide[c] += narrow[c];
    }
  });
  for (int64_t slice = 1; slice < norm.slices; ++slice) {
    for (int64_t c = 0; c < 2 * channels; ++c) parts.doubles[c] += parts.doubles[slice * 2 * channels + c];
  }
}

template <typename Start>
void transform(const BatchNorm& norm, const Schedule& schedule, const Start& start) {
  const int64_t block = Blocks::block(norm.channels);
  parallel_for(schedule, norm.slices, [&](int64_t slice) {
    auto run = start();
    const int64_t last = norm.rows * (slice + 1) / norm.slices;
    for (int64_t row = norm.rows * slice / norm.slices; row < last; row += block) run(row, std::min(block, last - row));
  });
}

}  // namespace

int64_t BatchNorm::scratch_bytes() const {
  return up(slices * 2 * channels * 8) + up(slices * 2 * channels * 4) + 4 * up(channels * 4);
}

void BatchNorm::forward(const Schedule& schedule, const void* x, const float* scale, const float* bias,
                        const void* added, void* y, float* mean, float* var, void* scratch) const {
  const Parts parts(*this, scratch);
  float* shift = parts.own[0];
  // The mean of squares loses its digits where the mean is large against the spread; any value taken off first helps.
  std::copy_n(Blocks(half, channels, x).read(0, 1), channels, shift);
  reduce(*this, schedule, parts, [&] {
    return [&, source = std::make_shared<Blocks>(half, channels, x)](int64_t row, int64_t count, float* a, float* b) {
      sums(count, channels, source->read(row, count), shift, a, b);
    };
  });
  float* gain = parts.own[1];
  for (int64_t c = 0; c < channels; ++c) {
    const double first = parts.doubles[c] / rows;
    const double spread = std::max(parts.doubles[channels + c] / rows - first * first, 0.0);
    mean[c] = static_cast<float>(first + shift[c]);
    var[c] = static_cast<float>(spread);
    gain[c] = gain_of(scale[c], var[c]);
  }
  const auto run = chosen(after, affine<After::kNothing>, affine<After::kRelu>, affine<After::kSumRelu>);
  transform(*this, schedule, [&] {
    return [&, source = std::make_shared<Blocks>(half, channels, x),
            more = std::make_shared<Blocks>(half, channels, added),
            target = std::make_shared<Blocks>(half, channels, y)](int64_t row, int64_t count) {
      const float* other = after == After::kSumRelu ? more->read(row, count) : nullptr;
      run(count, channels, source->read(row, count), mean, gain, bias, other, bound, target->open(row));
      target->close(row, count);
    };
  });
}

void BatchNorm::backward(const Schedule& schedule, const void* dy, const void* x, const float* scale, const float* bias,
                         const float* mean, const float* var, const void* y, void* dx, float* d_scale, float* d_bias,
                         void* d_added, void* scratch) const {
  const Parts parts(*this, scratch);
  float *gain = parts.own[1], *slope = parts.own[2], *offset = parts.own[3];
  for (int64_t c = 0; c < channels; ++c) gain[c] = gain_of(scale[c], var[c]);
  const bool sum = after == After::kSumRelu;
  const auto add = chosen(after, products<After::kNothing>, products<After::kRelu>, products<After::kSumRelu>);
  reduce(*this, schedule, parts, [&] {
    return [&, above = std::make_shared<Blocks>(half, channels, dy), source = std::make_shared<Blocks>(half, channels, x),
            after_it = std::make_shared<Blocks>(half, channels, y),
            target = std::make_shared<Blocks>(half, channels, d_added)](int64_t row, int64_t count, float* a, float* b) {
      const float* results = sum ? after_it->read(row, count) : nullptr;
      float* stored = sum ? target->open(row) : nullptr;
      add(count, channels, above->read(row, count), source->read(row, count), mean, gain, bias, results, bound, stored, a,
          b);
      if (sum) target->close(row, count);
    };
  });
  for (int64_t c = 0; c < channels; ++c) {
    const double inverse = 1 / std::sqrt(static_cast<double>(var[c]) + epsilon);
    const double total = parts.doubles[c], product = parts.doubles[channels + c] * inverse;
    d_bias[c] = static_cast<float>(total);
    d_scale[c] = static_cast<float>(product);
    slope[c] = static_cast<float>(-scale[c] * inverse * inverse * product / rows);
    offset[c] = static_cast<float>(-scale[c] * inverse * total / rows);
  }
  const void* reached = sum ? d_added : dy;
  const auto run = chosen(after, gradient<After::kNothing>, gradient<After::kRelu>, gradient<After::kSumRelu>);
  transform(*this, schedule, [&] {
    return [&, above = std::make_shared<Blocks>(half, channels, reached),
            source = std::make_shared<Blocks>(half, channels, x),
            target = std::make_shared<Blocks>(half, channels, dx)](int64_t row, int64_t count) {
      run(count, channels, above->read(row, count), source->read(row, count), mean, gain, bias, slope, offset,
          bound, target->open(row));
      target->close(row, count);
    };
  });
}

// The same in both directions, so that ReLU cuts off the same values.
float BatchNorm::gain_of(float scale, float var) const {
  return static_cast<float>(scale / std::sqrt(static_cast<double>(var) + epsilon));
}

}  // namespace lamina
