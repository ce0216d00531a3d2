// The process ends while threads compute: nothing of ours that they use may be destroyed before they are gone. oneDNN
// destroys its own cache, so that only kernels that were made before are looked up and run here; without AVX-512 its
// products are kernels that are destroyed with it, too, and recurrent cells, which multiply, are left out.
#include <atomic>

#include "../conv.h"
#include "../recurrent.h"
#include "testing.h"

namespace lamina {
namespace {

std::atomic<int> rounds{0};

void compute(bool multiplies) {
  std::vector<float> x(1 << 14, 1.0f), w(1 << 14, 1.0f), y(1 << 14), memory(1 << 16);
  float* scratch = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) / sizeof(float);
  for (int64_t round = 0;; ++round, ++rounds) {
    const int64_t size = 20 + round % 40;
    const std::vector<int64_t> geometry{0, 2, 0, 1, 4, 8, 1, size, size - 2, 3, 1, 0, 0, 1};
    const auto conv = convolution(Direction::kForward, geometry.data(), geometry.size());
    CHECK(conv->scratch_bytes() < 1 << 17);
    conv->run(caller_only(), x.data(), w.data(), y.data(), scratch);
    if (!multiplies) continue;
    const std::vector<int64_t> cell{0, 1, 0, 2, 3, 1 + round % 40};
    const auto run = recurrence(false, cell.data(), cell.size());
    CHECK(run->scratch_bytes() < 1 << 17);
    run->forward(caller_only(), {x.data(), w.data(), x.data(), x.data(), nullptr, y.data(), nullptr, nullptr}, scratch);
  }
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(100);
  // Registered before any static of the kernels is made: it runs when the last of them would have gone.
  std::atexit([] {
    const int before = lamina::rounds;
    while (lamina::rounds < before + 200) std::this_thread::yield();
    std::_Exit(0);
  });
  // Asked for once: what oneDNN keeps the answer in is destroyed as the process ends.
  const bool multiplies = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  for (int i = 0; i < 2; ++i) std::thread(lamina::compute, multiplies).detach();
  while (lamina::rounds < 300) std::this_thread::yield();
  return 0;
}
