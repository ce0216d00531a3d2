// Work shared between threads, and the cache that they share.
#include <atomic>
#include <stdexcept>
#include <string>

#include "../onednn.h"
#include "testing.h"

namespace lamina {
namespace {

void every_index_runs_once(const Schedule& schedule) {
  for (int64_t count : {0, 1, 2, 3, 7, 100, 1000}) {
    std::vector<std::atomic<int>> runs(count);
    parallel_for(schedule, count, [&](int64_t i) { ++runs[i]; });
    for (const auto& times : runs) CHECK(times == 1);
  }
}

void exceptions_come_back(const Schedule& schedule) {
  for (int64_t count : {1, 2, 50}) {
    std::atomic<int> runs{0};
    std::string said;
    try {
      parallel_for(schedule, count, [&](int64_t i) {
        ++runs;
        if (i == count / 2) throw std::runtime_error("task " + std::to_string(i));
      });
    } catch (const std::runtime_error& error) {
      said = error.what();
    }
    CHECK(said == "task " + std::to_string(count / 2));
    CHECK(runs == count);  // the others are done: nobody works on memory that the caller frees
    // All of them fail: one of their exceptions comes back.
    bool thrown = false;
    try {
      parallel_for(schedule, count, [](int64_t) { throw std::runtime_error("each"); });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown);
  }
}

void nested(const Schedule& schedule) {
  std::atomic<int> leaves{0};
  parallel_for(schedule, 4, [&](int64_t) {
    parallel_for(schedule, 5, [&](int64_t) { parallel_for(schedule, 6, [&](int64_t) { ++leaves; }); });
  });
  CHECK(leaves == 4 * 5 * 6);
}

// Every thread of the pool is inside a handler that waits for its own tasks, and none is left to run them.
void more_callers_than_threads(int threads, int callers) {
  std::atomic<int> leaves{0};
  std::atomic<int> done{0};
  {
    Pool pool(threads);
    const Schedule schedule = pool.schedule();
    for (int caller = 0; caller < callers; ++caller) {
      schedule([&, schedule] {
        parallel_for(schedule, 8, [&](int64_t) { ++leaves; });
        ++done;
      });
    }
  }
  CHECK(done == callers);
  CHECK(leaves == callers * 8);
}

void callers_from_many_threads() {
  Pool pool(2);
  const Schedule schedule = pool.schedule();
  std::vector<std::thread> callers;
  std::vector<int64_t> sums(6);
  for (size_t caller = 0; caller < sums.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 100; ++round) {
        std::vector<int64_t> squares(17);  // written by the tasks without a lock: parallel_for orders them
        parallel_for(schedule, squares.size(), [&](int64_t i) { squares[i] = i * i; });
        for (int64_t square : squares) sums[caller] += square;
      }
    });
  }
  for (std::thread& thread : callers) thread.join();
  for (int64_t sum : sums) CHECK(sum == 100 * 1496);
}

// A pool may come to a task long after the caller has left: the caller's function must not be touched then.
void tasks_that_come_too_late() {
  std::vector<std::function<void()>> kept;
  int runs = 0;
  {
    const auto own = std::make_unique<std::vector<int>>(10);
    parallel_for([&](std::function<void()> task) { kept.push_back(std::move(task)); }, 10, [&](int64_t i) {
      (*own)[i] = 1;
      ++runs;
    });
  }
  CHECK(runs == 10 && kept.size() == 9);
  for (const auto& task : kept) task();
  CHECK(runs == 10);
}

// Out of memory while tasks are handed out: those handed out already still refer to the caller's function.
void a_pool_that_fails() {
  Pool pool(1);
  const Schedule inner = pool.schedule();
  int handed = 0;
  std::atomic<int> runs{0};
  const Schedule failing = [&](std::function<void()> task) {
    if (++handed > 3) throw std::bad_alloc();
    inner(std::move(task));
  };
  parallel_for(failing, 20, [&](int64_t) { ++runs; });
  CHECK(runs == 20);
}

struct Counted {
  explicit Counted(std::atomic<int>& alive) : alive(alive) { ++alive; }
  ~Counted() { --alive; }
  std::atomic<int>& alive;
};

void a_cache_is_bounded() {
  std::atomic<int> alive{0};
  Cache<Counted> cache(4);
  int made = 0;
  const auto get = [&](int64_t key) {
    return cache.get({key, 7}, [&] {
      ++made;
      return std::make_shared<const Counted>(alive);
    });
  };
  for (int64_t key = 0; key < 100; ++key) get(key);
  CHECK(made == 100 && cache.size() == 4 && alive == 4);
  get(96);  // the oldest that is left becomes the most recently used
  CHECK(made == 100);
  get(200);
  CHECK(made == 101);
  get(96);
  CHECK(made == 101);
  get(97);  // had to go
  CHECK(made == 102);
  const auto held = get(300);
  for (int64_t key = 0; key < 10; ++key) get(key);
  CHECK(alive == 5 && cache.size() == 4);  // what somebody uses outlives its place
  try {
    cache.get({-1}, []() -> std::shared_ptr<const Counted> { throw std::runtime_error("cannot be made"); });
    CHECK(false);
  } catch (const std::runtime_error&) {
  }
  CHECK(cache.size() == 4);
}

void a_cache_serves_many_threads() {
  Cache<int64_t> cache(8);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int64_t i = 0; i < 2000; ++i) {
        const int64_t key = (i * (t + 1)) % 12;
        CHECK(*cache.get({key}, [&] { return std::make_shared<const int64_t>(key * key); }) == key * key);
        CHECK(cache.size() <= 8);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void the_threads_number_is_given_back() {
  omp_set_num_threads(3);
  try {
    const SingleThread outer;
    CHECK(omp_get_max_threads() == 1);
    {
      const SingleThread inner;
      CHECK(omp_get_max_threads() == 1);
    }
    CHECK(omp_get_max_threads() == 1);
    throw std::runtime_error("on the way out");
  } catch (const std::runtime_error&) {
  }
  CHECK(omp_get_max_threads() == 3);
}

void test_all() {
  for (int threads : {1, 2, 5}) {
    Pool pool(threads);
    for (const Schedule& schedule : {pool.schedule(), caller_only(), Schedule([](auto task) { task(); })}) {
      every_index_runs_once(schedule);
      exceptions_come_back(schedule);
      nested(schedule);
    }
  }
  more_callers_than_threads(1, 1);
  more_callers_than_threads(1, 20);
  more_callers_than_threads(3, 20);
  callers_from_many_threads();
  tasks_that_come_too_late();
  a_pool_that_fails();
  a_cache_is_bounded();
  a_cache_serves_many_threads();
  the_threads_number_is_given_back();
}

}  // namespace
}  // namespace lamina

int main() {
  alarm(60);  // a deadlock ends here
  lamina::test_all();
}
