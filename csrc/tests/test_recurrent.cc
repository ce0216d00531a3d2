// Recurrent cells against loops in double precision, and their gradients against differences of those.
#include <stdexcept>
#include <string>

#include "../recurrent.h"
#include "testing.h"

namespace lamina {
namespace {

using Numbers = std::vector<double>;

struct Problem {
  Sequences s;
  Numbers projected, kernel, bias, h0, c0;
};

struct Results {
  Numbers outputs, saved, cells;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Problem problem(Cell cell, bool half, int64_t batch, int64_t steps, int64_t units) {
  const Sequences s{half ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32, cell, batch, steps, units};
  const int64_t width = s.gates() * units;
  Problem p{s, random_numbers(batch * steps * width, 1), random_numbers(units * width, 2), random_numbers(width, 3),
            random_numbers(batch * units, 4), random_numbers(batch * s.cells() * units, 5)};
  const double scale = std::exp2(-std::ceil(std::log2(units) / 2));  // a power of two: bfloat16 stays exact
  for (double& weight : p.kernel) weight *= scale;
  return p;
}

Results naive(const Problem& p) {
  const Sequences& s = p.s;
  const int64_t n = s.units, width = s.gates() * n;
  Results r{Numbers(s.batch * s.steps * n), Numbers(s.batch * s.steps * s.saved() * n),
            Numbers(s.batch * s.steps * s.cells() * n)};
  for (int64_t example = 0; example < s.batch; ++example) {
    Numbers h(p.h0.begin() + example * n, p.h0.begin() + (example + 1) * n), c;
    if (s.cells()) c.assign(p.c0.begin() + example * n, p.c0.begin() + (example + 1) * n);
    for (int64_t step = 0; step < s.steps; ++step) {
      const int64_t row = example * s.steps + step;
      Numbers sums = p.bias;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < width; ++k) sums[k] += h[i] * p.kernel[i * width + k];
      for (int64_t j = 0; j < n; ++j) {
        const auto input = [&](int64_t gate) { return p.projected[row * width + gate * n + j]; };
        const auto sum = [&](int64_t gate) { return sums[gate * n + j]; };
        const auto keep = [&](std::initializer_list<double> gates) {
          int64_t at = row * 4 * n + j;
          for (double gate : gates) {
            r.saved[at] = gate;
            at += n;
          }
        };
        if (s.cell == Cell::kSimple) {
          h[j] = std::tanh(input(0) + sum(0));
        } else if (s.cell == Cell::kGru) {
          const double reset = sigmoid(input(0) + sum(0)), update = sigmoid(input(1) + sum(1));
          const double fresh = std::tanh(input(2) + reset * sum(2));
          keep({reset, update, fresh, sum(2)});
          h[j] = (1 - update) * fresh + update * h[j];
        } else {
          const double in = sigmoid(input(0) + sum(0)), forget = sigmoid(input(1) + sum(1));
          const double fresh = std::tanh(input(2) + sum(2)), out = sigmoid(input(3) + sum(3));
          keep({in, forget, fresh, out});
          c[j] = forget * c[j] + in * fresh;
          r.cells[row * n + j] = c[j];
          h[j] = out * std::tanh(c[j]);
        }
        r.outputs[row * n + j] = h[j];
      }
    }
  }
  return r;
}

struct Cotangents {
  Numbers outputs, cell;
};

double loss(const Problem& p, const Cotangents& d) {
  const Results r = naive(p);
  double sum = 0;
  for (size_t i = 0; i < r.outputs.size(); ++i) sum += r.outputs[i] * d.outputs[i];
  for (int64_t example = 0; example < p.s.batch * p.s.cells(); ++example)
    for (int64_t j = 0; j < p.s.units; ++j)
      sum += r.cells[((example + 1) * p.s.steps - 1) * p.s.units + j] * d.cell[example * p.s.units + j];
  return sum;
}

// Derivative of the loss where `at` moves along `along`.
double slope(Problem p, const Cotangents& d, Numbers Problem::*at, const Numbers& along) {
  constexpr double kStep = 1e-5;
  const auto moved = [&](double far) {
    Problem q = p;
    for (size_t i = 0; i < along.size(); ++i) (q.*at)[i] += far * along[i];
    return loss(q, d);
  };
  return (moved(kStep) - moved(-kStep)) / (2 * kStep);
}

void check_gradient(const Problem& p, const Cotangents& d, Numbers Problem::*at, const Numbers& gradient,
                    double limit) {
  CHECK((p.*at).size() == gradient.size());
  if (gradient.size() <= 300) {
    Numbers expected;
    for (size_t i = 0; i < gradient.size(); ++i) {
      Numbers along(gradient.size());
      along[i] = 1;
      expected.push_back(slope(p, d, at, along));
    }
    CHECK(error(gradient, expected) < limit);
  }
  // Along the gradient itself the slope is the square of its norm, and no other direction is as steep.
  double square = 0;
  for (double value : gradient) square += value * value;
  CHECK(std::abs(slope(p, d, at, gradient) - square) < limit * square);
  for (uint32_t seed = 10; seed < 13; ++seed) {
    const Numbers along = random_numbers(gradient.size(), seed);
    double inner = 0, length = 0;
    for (size_t i = 0; i < along.size(); ++i) {
      inner += along[i] * gradient[i];
      length += along[i] * along[i];
    }
    CHECK(std::abs(slope(p, d, at, along) - inner) < limit * std::sqrt(square * length));
  }
}

void check(const Problem& p, int64_t slices, const Schedule& pool) {
  const Sequences& s = p.s;
  const bool half = s.type == dnnl::memory::data_type::bf16;
  const std::vector<int64_t> described{half, slices, static_cast<int64_t>(s.cell), s.batch, s.steps, s.units};
  std::shared_ptr<const Recurrence> run, back;
  try {
    run = recurrence(false, described.data(), described.size());
    back = recurrence(true, described.data(), described.size());
  } catch (const dnnl::error&) {  // there are no products in bfloat16 for a CPU without AVX-512
    CHECK(half && dnnl::get_effective_cpu_isa() < dnnl::cpu_isa::avx512_core);
    return;
  }
  CHECK(run->scratch_bytes() % 64 == 0 && back->scratch_bytes() % 64 == 0);
  const int64_t size = half ? 2 : 4, rows = s.batch * s.steps * s.units, states = s.batch * s.units;

  const Cotangents d{random_numbers(rows, 6), random_numbers(states * s.cells(), 7)};
  const auto compute = [&](Edge edge, const Schedule& schedule, std::vector<std::unique_ptr<Guarded>>& kept) {
    const auto given = [&](const Numbers& numbers, bool narrow) {
      auto memory = std::make_unique<Guarded>(numbers.size() * (narrow ? 2 : 4), edge);
      memory->write(numbers, narrow);
      return memory;
    };
    const auto made = [&](int64_t bytes) {
      kept.push_back(std::make_unique<Guarded>(bytes, edge));
      return kept.back()->get();
    };
    const auto projected = given(p.projected, half), kernel = given(p.kernel, half), bias = given(p.bias, half);
    const auto h0 = given(p.h0, half), c0 = given(p.c0, false);
    const auto d_outputs = given(d.outputs, half), d_cell = given(d.cell, false);
    void* outputs = made(rows * size);
    void* saved = made(rows * s.saved() * size);
    float* cells = static_cast<float*>(made(rows * s.cells() * 4));
    const float* c_first = static_cast<float*>(c0->get());
    {
      Guarded scratch(run->scratch_bytes(), edge);
      run->forward(schedule, {projected->get(), kernel->get(), bias->get(), h0->get(), c_first, outputs, saved, cells},
                   scratch.get());
    }
    void* d_projected = made(rows * s.gates() * size);
    float* d_h0 = static_cast<float*>(made(states * 4));
    float* d_c0 = static_cast<float*>(made(states * s.cells() * 4));
    Guarded scratch(back->scratch_bytes(), edge);
    back->backward(schedule,
                   {d_outputs->get(), static_cast<float*>(d_cell->get()), kernel->get(), h0->get(), c_first, outputs,
                    saved, cells, d_projected, d_h0, d_c0},
                   scratch.get());
  };
  std::vector<std::unique_ptr<Guarded>> got, again;
  compute(Edge::kEnd, pool, got);
  compute(Edge::kStart, caller_only(), again);
  for (size_t i = 0; i < got.size(); ++i) CHECK(*got[i] == *again[i]);

  const Results expected = naive(p);
  const double limit = half ? 1.5e-2 : 5e-6;
  CHECK(error(got[0]->read(half), expected.outputs) < limit);
  CHECK(error(got[1]->read(half), expected.saved) < limit);
  CHECK(error(got[2]->read(false), expected.cells) < limit);
  const double slopes = half ? 3e-2 : 1e-5;
  check_gradient(p, d, &Problem::projected, got[3]->read(half), slopes);
  check_gradient(p, d, &Problem::h0, got[4]->read(false), slopes);
  if (s.cells()) check_gradient(p, d, &Problem::c0, got[5]->read(false), slopes);
}

// The gates' approximate tanh and sigmoid over all that float32 holds, and its conversion to bfloat16 and back.
void gates() {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> points{0.0f, -0.0f, 1e-38f, -1e-38f, 1e-6f, 1e38f, -1e38f, infinity, -infinity};
  for (int i = -4000; i <= 4000; ++i) points.push_back(i * 0.005f);
  for (float x : points) {
    const float zero = 0;
    float h;
    simple_forward(1, &x, &zero, &zero, &h);
    CHECK(std::abs(h - std::tanh(static_cast<double>(x))) < 4e-7 * std::max(std::abs(h), 1e-30f));
    CHECK(std::abs(h) <= 1);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN(), zero = 0;
  float h;
  simple_forward(1, &nan, &zero, &zero, &h);
  CHECK(std::isnan(h));

  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {  // every bfloat16 keeps its value
    const uint16_t before = static_cast<uint16_t>(bits);
    uint16_t after;
    float value;
    to_float(&before, &value, 1);
    from_float(&value, &after, 1);
    CHECK(std::isnan(value) ? (after & 0x7fff) > 0x7f80 : after == before);
  }
  const std::pair<float, float> rounded[] = {
      {1.00390625f, 1.0f}, {1.01171875f, 1.015625f}, {1.004f, 1.0078125f}, {-1.00390625f, -1.0f}, {3.4e38f, infinity}};
  for (const auto& [from, to] : rounded) {  // to nearest, ties to even
    uint16_t bits;
    float value;
    from_float(&from, &bits, 1);
    to_float(&bits, &value, 1);
    CHECK(value == to);
  }
}

void test_all() {
  gates();
  Pool pool(3);
  for (bool half : {false, true}) {
    for (Cell cell : {Cell::kSimple, Cell::kGru, Cell::kLstm}) {
      for (int64_t slices : {1, 2, 3, 5}) {
        check(problem(cell, half, 3, 4, 5), slices, pool.schedule());
        check(problem(cell, half, 1, 1, 1), slices, pool.schedule());
        check(problem(cell, half, 7, 5, 33), slices, pool.schedule());
      }
      check(problem(cell, half, 5, 3, 64), 2, pool.schedule());
      check(problem(cell, half, 2, 17, 3), 2, pool.schedule());
    }
  }
  const std::vector<int64_t> numbers(8, 1);
  bool refused = false;
  try {
    recurrence(false, numbers.data(), 5);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(300);
  lamina::test_all();
}
