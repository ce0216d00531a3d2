// Batch normalisation and its gradient against loops in double precision.
#include "../batch_norm.h"
#include "testing.h"

namespace lamina {
namespace {

using Numbers = std::vector<double>;

double rounded(double value) {
  float number = static_cast<float>(value);
  uint16_t half;
  from_float(&number, &half, 1);
  to_float(&half, &number, 1);
  return number;
}

void check(const BatchNorm& norm, const Schedule& pool) {
  const int64_t rows = norm.rows, channels = norm.channels;
  const Numbers x = random_numbers(rows * channels, 1), dy = random_numbers(rows * channels, 2);
  const Numbers scale = random_numbers(channels, 3), bias = random_numbers(channels, 4);
  const Numbers added = random_numbers(rows * channels, 5);
  Numbers y(x.size()), d(dy), mean(channels), var(channels), dx(x.size()), d_scale(channels), d_bias(channels);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < rows; ++i) mean[c] += x[i * channels + c] / rows;
    for (int64_t i = 0; i < rows; ++i) var[c] += std::pow(x[i * channels + c] - mean[c], 2) / rows;
    const double inverse = 1 / std::sqrt(var[c] + norm.epsilon);
    for (int64_t i = 0; i < rows; ++i) {
      const double unit = (x[i * channels + c] - mean[c]) * inverse;
      const int64_t at = i * channels + c;
      y[at] = unit * scale[c] + bias[c] + (norm.after == After::kSumRelu ? added[at] : 0);
      // A sum that is rounded to the bound has reached it.
      const double stored = norm.half && norm.after == After::kSumRelu ? rounded(y[at]) : y[at];
      if (norm.after != After::kNothing && !(stored > 0 && stored < norm.bound)) {
        y[at] = y[at] > 0 ? norm.bound : 0;
        d[at] = 0;
      }
      d_bias[c] += d[at];
      d_scale[c] += d[at] * unit;
    }
    for (int64_t i = 0; i < rows; ++i) {
      const double unit = (x[i * channels + c] - mean[c]) * inverse;
      dx[i * channels + c] = scale[c] * inverse * (d[i * channels + c] - d_bias[c] / rows - unit * d_scale[c] / rows);
    }
  }
  const int64_t wide = channels * 4;
  for (Edge edge : {Edge::kStart, Edge::kEnd}) {
    Guarded x_in(norm.bytes(), edge), dy_in(norm.bytes(), edge), scale_in(wide, edge), bias_in(wide, edge);
    Guarded y_out(norm.bytes(), edge), mean_out(wide, edge), var_out(wide, edge), dx_out(norm.bytes(), edge);
    Guarded d_scale_out(wide, edge), d_bias_out(wide, edge), added_in(norm.bytes(), edge), d_out(norm.bytes(), edge);
    added_in.write(added, norm.half);
    x_in.write(x, norm.half);
    dy_in.write(dy, norm.half);
    scale_in.write(scale, false);
    bias_in.write(bias, false);
    const auto floats = [](const Guarded& memory) { return static_cast<float*>(memory.get()); };
    {
      Guarded scratch(norm.scratch_bytes(), edge);
      norm.forward(pool, x_in.get(), floats(scale_in), floats(bias_in), added_in.get(), y_out.get(), floats(mean_out),
                   floats(var_out), scratch.get());
    }
    Guarded scratch(norm.scratch_bytes(), edge);
    norm.backward(pool, dy_in.get(), x_in.get(), floats(scale_in), floats(bias_in), floats(mean_out), floats(var_out),
                  y_out.get(), dx_out.get(), floats(d_scale_out), floats(d_bias_out), d_out.get(), scratch.get());
    const double limit = norm.half ? 5e-3 : 2e-6;
    CHECK(error(y_out.read(norm.half), y) < limit);
    CHECK(error(mean_out.read(false), mean) < 2e-6);
    CHECK(error(var_out.read(false), var) < 2e-6);
    // Of few rows hardly anything is left of dy: what is lost is measured against what there was.
    Numbers shifted = dx_out.read(norm.half), expected = dx;
    for (int64_t i = 0; i < rows * channels; ++i) {
      const double part = scale[i % channels] / std::sqrt(var[i % channels] + norm.epsilon) * d[i];
      shifted[i] += part;
      expected[i] += part;
    }
    CHECK(error(shifted, expected) < limit);
    CHECK(error(d_scale_out.read(false), d_scale) < 5e-6);
    CHECK(error(d_bias_out.read(false), d_bias) < 5e-6);
    if (norm.after == After::kSumRelu) CHECK(error(d_out.read(norm.half), d) < 2e-6);
  }
}

void test_all() {
  Pool pool(3);
  for (bool half : {false, true}) {
    for (After after : {After::kNothing, After::kRelu, After::kSumRelu}) {
      for (float bound : {INFINITY, 1.0f}) {
        if (after == After::kNothing && bound == 1) continue;
        const auto norm = [&](int64_t slices, int64_t rows, int64_t channels) {
          return BatchNorm{half, after, bound, slices, rows, channels, 1e-3f};
        };
        for (int64_t slices : {1, 2, 3, 5}) {
          for (int64_t rows : {2, 7, 8, 9, 256, 257, 1031}) {
            for (int64_t channels : {1, 3, 8, 17, 64}) check(norm(slices, rows, channels), pool.schedule());
          }
          check(norm(slices, 3000, 40), caller_only());
          check(norm(slices, 5, 5000), pool.schedule());
        }
      }
    }
  }
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(300);
  lamina::test_all();
}
