// Work shared between the thread that asks for it and those of a pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace lamina {

// Hands a task to some other thread, at once or later.
using Schedule = std::function<void(std::function<void()>)>;

// Runs task(0) ... task(count - 1), each once, and returns when all are done.
//
// Whoever is free takes the next one; the caller takes part. It waits only for tasks that another thread is already
// running, so that handlers which occupy all threads of the pool at the same time cannot wait for each other for ever.
// The first exception of a task is thrown again here.
inline void parallel_for(const Schedule& schedule, int64_t count, const std::function<void(int64_t)>& task) {
  if (count == 1) return task(0);
  struct State {
    const std::function<void(int64_t)>* task;  // the caller's: untouched once next has reached count
    int64_t count;
    std::atomic<int64_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable all_done;
    std::exception_ptr error;

    void work() {
      for (int64_t i; (i = next.fetch_add(1)) < count;) {
        try {
          (*task)(i);
        } catch (...) {
          std::lock_guard<std::mutex> lock(mutex);
          if (!error) error = std::current_exception();
        }
        if (done.fetch_add(1) + 1 == count) {
          std::lock_guard<std::mutex> lock(mutex);
          all_done.notify_all();
        }
      }
    }
  };
  auto state = std::make_shared<State>();
  state->task = &task;
  state->count = count;
  try {
    for (int64_t i = 1; i < count; ++i) schedule([state] { state->work(); });
  } catch (...) {
    // No memory for more: the caller does what nobody else takes. Tasks handed out already refer to `task`, so that
    // nothing may leave here before all are done.
  }
  state->work();
  // Slices end almost together: sleeping at once would cost more than the wait.
  for (int spins = 0; state->done.load() < count && spins < 2000; ++spins) std::this_thread::yield();
  std::unique_lock<std::mutex> lock(state->mutex);
  state->all_done.wait(lock, [&] { return state->done.load() == count; });
  // Taken out of the state, which another thread may be the last to let go of.
  const std::exception_ptr error = std::move(state->error);
  if (error) std::rethrow_exception(error);
}

}  // namespace lamina
