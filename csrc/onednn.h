// What all kernels over oneDNN share.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace lamina {

using Key = std::vector<int64_t>;

// Never destroyed, as the caches of kernels are not: a thread may still compute while the process ends.
inline const dnnl::engine& engine() {
  static const dnnl::engine& cpu = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return cpu;
}

inline dnnl::stream& stream() {
  static thread_local dnnl::stream own(engine());
  return own;
}

// While it lives, oneDNN works on this thread alone: the parallelism is ours (parallel.h), and OpenMP starts no team.
// The number is the thread's own in OpenMP, and given back: the thread may be the user's.
class SingleThread {
 public:
  SingleThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThread() { omp_set_num_threads(before_); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_;
};

// Scratch memory comes from the caller: oneDNN's own, shared between threads, has given wrong numbers.
inline dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// Data as oneDNN takes it, operands included: it has no memory that is only read.
inline dnnl::memory wrap(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, engine(), const_cast<void*>(data));
}

inline int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

inline char* at(void* start, int64_t bytes) { return static_cast<char*>(start) + bytes; }

// The most recently used values, at most `capacity` of them; one that is being made is made once per caller.
template <typename Value>
class Cache {
 public:
  explicit Cache(size_t capacity) : capacity_(capacity) {}

  template <typename Make>
  std::shared_ptr<const Value> get(const Key& key, const Make& make) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = where_.find(key);
      if (found != where_.end()) {
        values_.splice(values_.begin(), values_, found->second);
        return values_.front().second;
      }
    }
    std::shared_ptr<const Value> made = make();  // without the lock: generating code takes milliseconds
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = where_.find(key);
    if (found != where_.end()) return found->second->second;
    values_.emplace_front(key, made);
    where_[key] = values_.begin();
    if (values_.size() > capacity_) {
      where_.erase(values_.back().first);
      values_.pop_back();
    }
    return made;
  }

  size_t size() {
    std::lock_guard<std::mutex> lock(mutex_);
    return values_.size();
  }

 private:
  using Entry = std::pair<Key, std::shared_ptr<const Value>>;
  size_t capacity_;
  std::mutex mutex_;
  std::list<Entry> values_;
  std::map<Key, typename std::list<Entry>::iterator> where_;
};

}  // namespace lamina
