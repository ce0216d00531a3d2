// Convolution and its two gradients against loops in double precision.
#include <array>
#include <initializer_list>
#include <stdexcept>

#include "../conv.h"
#include "testing.h"

namespace lamina {
namespace {

// size, window, stride, low, high, dilation
using Space = std::array<int64_t, 6>;

struct Case {
  int64_t batch, in, out, groups;
  std::vector<Space> axes;
};

std::vector<int64_t> values(const Case& c, bool half, int64_t slices, bool exact = false) {
  std::vector<int64_t> all{half, slices, exact, c.batch, c.in, c.out, c.groups};
  for (const auto& [size, window, stride, low, high, dilation] : c.axes) {
    const int64_t out = (size + low + high - (window - 1) * dilation - 1) / stride + 1;
    all.insert(all.end(), {size, out, window, stride, low, high, dilation});
  }
  return all;
}

struct Arrays {
  std::vector<double> x, w, y;
};

// The result among the three, from the other two.
void naive(Geometry g, Direction direction, Arrays& arrays) {
  while (g.axes.size() < 3) g.axes.push_back({1, 1, 1, 1, 0, 0, 1});
  const auto& [a, b, c] = std::tie(g.axes[0], g.axes[1], g.axes[2]);
  const int64_t in = g.in / g.groups, out = g.out / g.groups;
  auto& result = direction == Direction::kForward ? arrays.y : direction == Direction::kData ? arrays.x : arrays.w;
  std::fill(result.begin(), result.end(), 0.0);
  const auto each = [&](const auto& multiply) {
    for (int64_t n = 0; n < g.batch; ++n)
      for (int64_t i = 0; i < a.out; ++i)
        for (int64_t j = 0; j < b.out; ++j)
          for (int64_t k = 0; k < c.out; ++k)
            for (int64_t p = 0; p < a.window; ++p)
              for (int64_t q = 0; q < b.window; ++q)
                for (int64_t r = 0; r < c.window; ++r) {
                  const int64_t u = i * a.stride + p * a.dilation - a.low, v = j * b.stride + q * b.dilation - b.low,
                                t = k * c.stride + r * c.dilation - c.low;
                  if (u < 0 || u >= a.size || v < 0 || v >= b.size || t < 0 || t >= c.size) continue;
                  double* x = arrays.x.data() + (((n * a.size + u) * b.size + v) * c.size + t) * g.in;
                  double* y = arrays.y.data() + (((n * a.out + i) * b.out + j) * c.out + k) * g.out;
                  double* w = arrays.w.data() + ((p * b.window + q) * c.window + r) * in * g.out;
                  for (int64_t group = 0; group < g.groups; ++group)
                    for (int64_t from = 0; from < in; ++from)
                      for (int64_t to = 0; to < out; ++to)
                        multiply(x[group * in + from], w[from * g.out + group * out + to], y[group * out + to]);
                }
  };
  if (direction == Direction::kForward) {
    each([](double x, double w, double& y) { y += x * w; });
  } else if (direction == Direction::kData) {
    each([](double& x, double w, double y) { x += y * w; });
  } else {
    each([](double x, double& w, double y) { w += x * y; });
  }
}

// Which kernels there were, of how many convolutions.
struct Tally {
  int kernels = 0, asked = 0, cut = 0, winograd = 0, packed = 0;
};

// The largest error of a kernel: Winograd's algorithm trades some exactness for speed.
double tolerance(const Convolution& conv, bool half) {
  const bool winograd = conv.name().find("Winograd") != std::string::npos;
  return half ? (winograd ? 6e-3 : 4e-3) : winograd ? 3e-6 : 2e-6;
}

void check(const Case& c, bool half, const Schedule& pool, Tally& tally) {
  for (Direction direction : {Direction::kForward, Direction::kData, Direction::kWeights}) {
    const auto plain = values(c, half, 1);
    const Geometry g = read_geometry(plain.data(), plain.size());
    Arrays arrays{random_numbers(g.x_elements(), 1), random_numbers(g.w_elements(), 2),
                  random_numbers(g.y_elements(), 3)};
    const bool forward = direction == Direction::kForward, weights = direction == Direction::kWeights;
    const auto a_values = direction == Direction::kData ? arrays.y : arrays.x;
    const auto b_values = weights ? arrays.y : arrays.w;
    naive(g, direction, arrays);
    const auto& expected = forward ? arrays.y : weights ? arrays.w : arrays.x;
    int64_t scratch_of_one = -1;
    for (int64_t slices : {1, 2, 3, 5}) {
      ++tally.asked;
      std::shared_ptr<const Convolution> conv;
      try {
        const auto described = values(c, half, slices);
        conv = convolution(direction, described.data(), described.size());
      } catch (const dnnl::error&) {
        continue;
      }
      ++tally.kernels;
      CHECK(conv->name().find("ref") == std::string::npos);
      CHECK(conv->scratch_bytes() % 64 == 0);
      if (slices == 1) scratch_of_one = conv->scratch_bytes();
      if (conv->scratch_bytes() != scratch_of_one) ++tally.cut;
      if (conv->name().find("Winograd") != std::string::npos) ++tally.winograd;
      const auto elements = [&](const auto& array) { return g.bytes(array.size()); };
      Guarded first(elements(expected), Edge::kEnd), again(elements(expected), Edge::kStart);
      const auto run = [&](Edge edge, const Schedule& schedule, Guarded& result, bool packed = false) {
        Guarded a(elements(a_values), edge), b(elements(b_values), edge), scratch(conv->scratch_bytes(), edge);
        a.write(a_values, half);
        b.write(b_values, half);
        if (packed) {
          Guarded w(conv->packed_bytes(), edge);
          conv->pack(schedule, b.get(), w.get(), scratch.get());
          conv->run(schedule, a.get(), w.get(), result.get(), scratch.get(), nullptr, true);
        } else {
          conv->run(schedule, a.get(), b.get(), result.get(), scratch.get());
        }
      };
      run(Edge::kEnd, pool, first);
      run(Edge::kStart, caller_only(), again);
      CHECK(first == again);  // whoever computes the slices, and wherever they lie
      if (conv->packed_bytes()) {
        ++tally.packed;
        run(Edge::kEnd, pool, again, true);
        CHECK(first == again);
      }
      const double wrong = error(first.read(half), expected);
      if (!(wrong < tolerance(*conv, half))) {
        std::fprintf(stderr, "direction %d, %s, %d slices, %s: error %g, case", static_cast<int>(direction),
                     half ? "bfloat16" : "float32", static_cast<int>(slices), conv->name().c_str(), wrong);
        for (int64_t value : plain) std::fprintf(stderr, " %d", static_cast<int>(value));
        std::fprintf(stderr, "\n");
        CHECK(false);
      }
    }
  }
}

// Bias, ReLU and ReLU6 where the sums are stored.
void check_epilogue(const Case& c, bool half, const Schedule& pool, Tally& tally) {
  const auto plain = values(c, half, 1);
  const Geometry g = read_geometry(plain.data(), plain.size());
  Arrays arrays{random_numbers(g.x_elements(), 1), random_numbers(g.w_elements(), 2),
                std::vector<double>(g.y_elements())};
  // Sums of about 3, so that ReLU6 cuts off some of them: a power of two rounds nothing.
  const double scale = std::exp2(-std::round(std::log2(std::sqrt(g.w_elements() / g.out)) - 1.5));
  for (double& value : arrays.w) value *= scale;
  naive(g, Direction::kForward, arrays);
  const auto bias_values = random_numbers(g.out, 4);
  for (Epilogue epilogue : {Epilogue::kBias, Epilogue::kBiasRelu, Epilogue::kBiasRelu6}) {
    auto expected = arrays.y;
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i] += bias_values[i % g.out];
      if (epilogue != Epilogue::kBias) expected[i] = std::max(expected[i], 0.0);
      if (epilogue == Epilogue::kBiasRelu6) expected[i] = std::min(expected[i], 6.0);
    }
    for (int64_t slices : {1, 3}) {
      ++tally.asked;
      std::shared_ptr<const Convolution> conv;
      try {
        const auto described = values(c, half, slices);
        conv = convolution(Direction::kForward, described.data(), described.size(), epilogue);
      } catch (const dnnl::error&) {
        continue;
      }
      ++tally.kernels;
      for (Edge edge : {Edge::kStart, Edge::kEnd}) {
        Guarded x(g.bytes(arrays.x.size()), edge), w(g.bytes(arrays.w.size()), edge), y(g.bytes(expected.size()), edge);
        Guarded bias(g.out * 4, edge), scratch(conv->scratch_bytes(), edge);
        x.write(arrays.x, half);
        w.write(arrays.w, half);
        bias.write(bias_values, false);
        conv->run(pool, x.get(), w.get(), y.get(), scratch.get(), static_cast<const float*>(bias.get()));
        const double wrong = error(y.read(half), expected);
        if (!(wrong < tolerance(*conv, half))) {
          std::fprintf(stderr, "epilogue %d, %s, %d slices, %s: error %g, case", static_cast<int>(epilogue),
                       half ? "bfloat16" : "float32", static_cast<int>(slices), conv->name().c_str(), wrong);
          for (int64_t value : plain) std::fprintf(stderr, " %d", static_cast<int>(value));
          std::fprintf(stderr, "\n");
          CHECK(false);
        }
      }
    }
  }
}

// Of random sizes, nearly all of them awkward.
Case random_case(uint32_t seed) {
  std::mt19937 generator(seed);
  const auto any = [&](std::initializer_list<int64_t> choices) {
    return choices.begin()[generator() % choices.size()];
  };
  const int64_t rank = any({1, 2, 2, 3}), groups = any({1, 1, 2, 3, 8});
  Case c{any({1, 2, 3, 5}), groups * any({1, 2, 3, 5, 8}), groups * any({1, 2, 3, 7, 16}), groups, {}};
  for (int64_t axis = 0; axis < rank; ++axis) {
    const int64_t window = any({1, 2, 3, 3, 5}), dilation = any({1, 1, 2, 3}), reach = (window - 1) * dilation + 1;
    const int64_t size = reach + any({0, 1, 4, 6, 13});
    c.axes.push_back({size, window, any({1, 1, 2, 3}), any({0, 1, 2}), any({0, 1, 3}), dilation});
  }
  return c;
}

void test_all() {
  Pool pool(3);
  const std::vector<Case> cases = {
      // Large enough to be cut: by examples, by rows, by both.
      {6, 16, 24, 1, {{14, 3, 1, 1, 1, 1}, {13, 3, 1, 1, 1, 1}}},
      {1, 24, 32, 1, {{29, 3, 1, 1, 1, 1}, {28, 3, 1, 1, 1, 1}}},
      {2, 13, 19, 1, {{31, 3, 2, 0, 1, 1}, {45, 5, 1, 2, 2, 1}}},
      {1, 16, 16, 1, {{40, 3, 1, 4, 4, 2}, {33, 3, 1, 1, 1, 1}}},
      {1, 32, 48, 1, {{30, 1, 1, 0, 0, 1}, {31, 1, 1, 0, 0, 1}}},
      {1, 3, 64, 1, {{56, 7, 2, 3, 3, 1}, {56, 7, 2, 3, 3, 1}}},
      {3, 16, 16, 1, {{2100, 5, 1, 2, 2, 1}}},
      {1, 16, 16, 1, {{4100, 5, 2, 4, 0, 2}}},
      {2, 8, 16, 1, {{10, 3, 1, 1, 1, 1}, {11, 3, 1, 1, 1, 1}, {12, 3, 2, 1, 1, 1}}},
      {1, 8, 16, 1, {{9, 3, 1, 1, 1, 1}, {14, 3, 1, 1, 1, 1}, {12, 3, 1, 1, 1, 1}}},
      {4, 64, 64, 64, {{48, 3, 1, 1, 1, 1}, {48, 3, 1, 1, 1, 1}}},
      {1, 40, 40, 40, {{70, 3, 1, 1, 1, 1}, {71, 5, 1, 2, 2, 1}}},
      {3, 48, 48, 48, {{21, 3, 2, 1, 1, 1}, {22, 3, 2, 1, 0, 1}}},
      {2, 32, 32, 32, {{13, 5, 2, 2, 2, 1}, {14, 5, 3, 2, 2, 1}}},
      {4, 70, 70, 70, {{11, 5, 1, 2, 2, 1}, {12, 7, 2, 0, 9, 2}}},
      {3, 65, 65, 65, {{30, 6, 1, 3, 0, 2}}},
      {3, 33, 33, 33, {{5, 4, 1, 1, 1, 1}, {6, 5, 2, 2, 2, 1}, {7, 3, 1, 1, 2, 2}}},
      {2, 32, 48, 2, {{20, 3, 1, 1, 1, 1}, {20, 3, 1, 1, 1, 1}}},
      {1, 32, 32, 4, {{40, 3, 2, 1, 1, 1}, {41, 3, 1, 1, 1, 1}}},
      // A slice of rows whose windows reach past both ends.
      {1, 96, 96, 1, {{3, 5, 1, 2, 2, 1}, {40, 5, 1, 2, 2, 1}}},
      // A slice of rows that lies in the padding alone: no kernel of ours.
      {1, 16, 16, 1, {{4, 3, 1, 20, 20, 1}, {150, 3, 1, 1, 1, 1}}},
      // Few outputs for many weights.
      {5, 256, 96, 1, {{1, 1, 1, 0, 0, 1}, {57, 1, 1, 0, 0, 1}}},
      {5, 96, 160, 1, {{7, 3, 1, 1, 1, 1}, {5, 3, 1, 1, 1, 1}}},
      // Weights that are reordered in parts, none of them a whole number of blocks.
      {3, 150, 211, 1, {{6, 3, 1, 1, 1, 1}, {5, 3, 1, 1, 1, 1}}},
      // Winograd's algorithm: tiles that end inside and outside of the picture, padding on one side, none, too much.
      {3, 64, 64, 1, {{16, 3, 1, 1, 1, 1}, {16, 3, 1, 1, 1, 1}}},
      {2, 64, 96, 1, {{15, 3, 1, 0, 2, 1}, {18, 3, 1, 1, 0, 1}}},
      {5, 128, 64, 1, {{9, 3, 1, 3, 4, 1}, {7, 3, 1, 0, 0, 1}}},
      {1, 96, 64, 1, {{40, 3, 1, 1, 1, 1}, {3, 3, 1, 1, 1, 1}}},
      {3, 64, 80, 1, {{13, 5, 1, 2, 2, 1}, {14, 5, 1, 0, 4, 1}}},
      {2, 64, 64, 1, {{12, 5, 1, 5, 0, 1}, {11, 5, 1, 2, 2, 1}}},
      {9, 112, 112, 1, {{14, 3, 1, 1, 1, 1}, {14, 3, 1, 1, 1, 1}}},  // in bfloat16, too
      // Weights in blocks of 48 output channels.
      {2, 40, 192, 1, {{12, 3, 2, 1, 1, 1}, {13, 5, 1, 2, 2, 1}}},
      // A weight gradient by products for each tap: strided, dilated, padded on one side, an odd number of outputs.
      {3, 130, 136, 1, {{7, 3, 2, 2, 0, 1}, {6, 3, 1, 1, 2, 2}}},
      {4, 128, 129, 1, {{9, 5, 1, 2, 2, 1}}},
  };
  for (bool half : {false, true}) {
    Tally tally;
    std::vector<Case> all = cases;
    for (uint32_t seed = 0; seed < (half ? 30 : 60); ++seed) all.push_back(random_case(seed));
    for (const Case& c : all) {
      check(c, half, pool.schedule(), tally);
      check_epilogue(c, half, pool.schedule(), tally);
    }
    std::printf("%s: kernels for %d of %d, %d in several slices, %d by Winograd's algorithm, %d with packed weights\n",
                half ? "bfloat16" : "float32", tally.kernels, tally.asked, tally.cut, tally.winograd, tally.packed);
    CHECK(tally.kernels < tally.asked);
    if (half && dnnl_get_effective_cpu_isa() == dnnl_cpu_isa_avx512_core_bf16) CHECK(tally.winograd > 5);
    if (!half && dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx2) {
      CHECK(tally.kernels > 0.8 * tally.asked);
      CHECK(tally.cut > 50);
      CHECK(tally.winograd > 30);
      CHECK(tally.packed > 50);
    }
  }
  // What is not a geometry.
  for (size_t count : {0, 7, 13, 15}) {
    const std::vector<int64_t> numbers(20, 1);
    bool refused = false;
    try {
      convolution(Direction::kForward, numbers.data(), count);
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    CHECK(refused);
  }
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(300);
  lamina::test_all();
}
