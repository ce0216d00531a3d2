// What the tests share: checks that end the program, memory between guard pages, a pool of threads, random numbers.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "../gates.h"
#include "../parallel.h"

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition);    \
      std::fflush(stderr);                                                                  \
      std::_Exit(1);                                                                        \
    }                                                                                       \
  } while (false)

namespace lamina {

enum class Edge { kStart, kEnd };

// Exactly `bytes` of memory, with a page that must not be touched before the first or behind the last of them. Code
// that oneDNN generates at run time is not instrumented by sanitizers, but it faults here like any other.
class Guarded {
 public:
  Guarded(int64_t bytes, Edge edge) : bytes_(bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    mapped_ = (bytes + page - 1) / page * page + 2 * page;
    void* memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    start_ = static_cast<char*>(memory);
    CHECK(mprotect(start_ + page, mapped_ - 2 * page, PROT_READ | PROT_WRITE) == 0 || mapped_ == 2 * page);
    data_ = edge == Edge::kStart ? start_ + page : start_ + mapped_ - page - bytes;
    std::memset(data_, 0xff, bytes);  // NaN in float32 and bfloat16: what is read before it was written shows
  }
  ~Guarded() { munmap(start_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  void* get() const { return data_; }
  bool operator==(const Guarded& other) const {
    return bytes_ == other.bytes_ && std::memcmp(data_, other.data_, bytes_) == 0;
  }

  // Values of float32, or of bfloat16, written and read as doubles.
  void write(const std::vector<double>& values, bool half) {
    CHECK(static_cast<int64_t>(values.size()) * (half ? 2 : 4) == bytes_);
    for (size_t i = 0; i < values.size(); ++i) {
      const float value = static_cast<float>(values[i]);
      if (half) {
        from_float(&value, static_cast<uint16_t*>(get()) + i, 1);
      } else {
        static_cast<float*>(get())[i] = value;
      }
    }
  }
  std::vector<double> read(bool half) const {
    std::vector<double> values(bytes_ / (half ? 2 : 4));
    for (size_t i = 0; i < values.size(); ++i) {
      float value;
      if (half) {
        to_float(static_cast<const uint16_t*>(get()) + i, &value, 1);
      } else {
        value = static_cast<const float*>(get())[i];
      }
      values[i] = value;
    }
    return values;
  }

 private:
  int64_t bytes_, mapped_;
  char *start_, *data_;
};

// A number of threads that take tasks in their order. Destroying it lets them finish what was scheduled.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
  }
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Schedule schedule() {
    return [this](std::function<void()> task) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
        tasks_.push_back(std::move(task));
      }
      changed_.notify_one();
    };
  }

 private:
  void loop() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

// A pool that never gets to anything.
inline Schedule caller_only() {
  return [](std::function<void()>) {};
}

// Numbers that bfloat16 holds exactly, so that both types start from the same operands.
inline std::vector<double> random_numbers(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<double> values(count);
  for (double& value : values) {
    float number = normal(generator);
    uint16_t half;
    from_float(&number, &half, 1);
    to_float(&half, &number, 1);
    value = number;
  }
  return values;
}

// Norm of the difference over the norm of what is expected; not a number where a value is not one.
inline double error(const std::vector<double>& got, const std::vector<double>& expected) {
  CHECK(got.size() == expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-30);
}

}  // namespace lamina
