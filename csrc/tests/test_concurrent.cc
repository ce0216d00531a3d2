// Several programs at once on one pool, as XLA runs them: everyone gets the bits that he gets alone.
#include "../conv.h"
#include "../recurrent.h"
#include "testing.h"

namespace lamina {
namespace {

using Bytes = std::vector<char>;

struct Aligned {
  explicit Aligned(int64_t bytes) : data(static_cast<char*>(std::aligned_alloc(64, aligned(bytes + 1)))) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  char* data;
};

std::vector<float> numbers(int64_t count, uint32_t seed) {
  const auto doubles = random_numbers(count, seed);
  return {doubles.begin(), doubles.end()};
}

Bytes convolve(const Schedule& schedule, Direction direction, int64_t batch) {
  const std::vector<int64_t> values{0, 3, 0, batch, 8, 16, 1, 20, 20, 3, 1, 1, 1, 1, 20, 20, 3, 1, 1, 1, 1};
  const Geometry g = read_geometry(values.data(), values.size());
  const auto conv = convolution(direction, values.data(), values.size());
  const auto x = numbers(g.x_elements(), 1), w = numbers(g.w_elements(), 2), y = numbers(g.y_elements(), 3);
  const bool forward = direction == Direction::kForward, weights = direction == Direction::kWeights;
  Bytes result(4 * (forward ? y : weights ? w : x).size());
  const Aligned scratch(conv->scratch_bytes());
  conv->run(schedule, (direction == Direction::kData ? y : x).data(), (weights ? y : w).data(), result.data(),
            scratch.data);
  return result;
}

Bytes recur(const Schedule& schedule, Cell cell, int64_t units) {
  const std::vector<int64_t> values{0, 3, static_cast<int64_t>(cell), 5, 4, units};
  const Sequences s = read_sequences(values.data(), values.size());
  const auto run = recurrence(false, values.data(), values.size());
  const auto back = recurrence(true, values.data(), values.size());
  const int64_t width = s.gates() * units, rows = s.batch * s.steps * units, states = s.batch * units;
  const auto projected = numbers(s.batch * s.steps * width, 1), kernel = numbers(units * width, 2);
  const auto bias = numbers(width, 3), h0 = numbers(states, 4), c0 = numbers(states, 5), d_outputs = numbers(rows, 6);
  std::vector<float> outputs(rows), saved(4 * rows), cells(rows), d_h0(states), d_c0(states);
  Bytes d_projected(4 * projected.size());
  const Aligned scratch(std::max(run->scratch_bytes(), back->scratch_bytes()));
  run->forward(schedule,
               {projected.data(), kernel.data(), bias.data(), h0.data(), c0.data(), outputs.data(), saved.data(),
                cells.data()},
               scratch.data);
  back->backward(schedule,
                 {d_outputs.data(), c0.data(), kernel.data(), h0.data(), c0.data(), outputs.data(), saved.data(),
                  cells.data(), d_projected.data(), d_h0.data(), d_c0.data()},
                 scratch.data);
  return d_projected;
}

void test_all() {
  std::vector<std::function<Bytes(const Schedule&)>> programs;
  for (Direction direction : {Direction::kForward, Direction::kData, Direction::kWeights}) {
    for (int64_t batch : {1, 4}) {
      programs.push_back([=](const Schedule& schedule) { return convolve(schedule, direction, batch); });
    }
  }
  for (Cell cell : {Cell::kSimple, Cell::kGru, Cell::kLstm}) {
    programs.push_back([=](const Schedule& schedule) { return recur(schedule, cell, 17); });
  }
  Pool pool(3);
  const Schedule schedule = pool.schedule();
  std::vector<std::vector<Bytes>> got(4, std::vector<Bytes>(programs.size()));
  std::vector<std::thread> callers;  // before any of the kernels is made: that too happens at once
  for (size_t caller = 0; caller < got.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 3; ++round) {
        for (size_t i = 0; i < programs.size(); ++i) {
          const size_t which = round == 0 ? i : (i + caller) % programs.size();
          Bytes bytes = programs[which](schedule);
          CHECK(round == 0 || bytes == got[caller][which]);
          got[caller][which] = std::move(bytes);
        }
      }
    });
  }
  for (std::thread& thread : callers) thread.join();
  for (size_t i = 0; i < programs.size(); ++i) {
    const Bytes alone = programs[i](caller_only());
    for (const auto& results : got) CHECK(results[i] == alone);
  }
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(300);
  lamina::test_all();
}
