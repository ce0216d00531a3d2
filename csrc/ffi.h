// XLA's side of a kernel: buffers checked, exceptions turned into errors, XLA's own thread pool put to work.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <utility>

#include <xla/ffi/api/ffi.h>

#include "parallel.h"

namespace lamina {

namespace ffi = xla::ffi;

// XLA's pool, on whose threads its own operations run: no threads of ours compete with them.
inline Schedule pool_of(ffi::ThreadPool& pool) {
  return [&pool](std::function<void()> task) { pool.Schedule(std::move(task)); };
}

// Whatever a kernel throws, XLA is told; nothing may be thrown through it.
template <typename Run>
ffi::Error guarded(const char* kernel, const Run& run) {
  try {
    run();
    return ffi::Error::Success();
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string(kernel) + ": " + error.what());
  }
}

// Throws where a buffer is smaller than what the kernel will touch.
inline void expect_bytes(const char* name, const ffi::AnyBuffer& buffer, int64_t bytes) {
  if (static_cast<int64_t>(buffer.size_bytes()) < bytes) {
    throw std::runtime_error(std::string(name) + " has " + std::to_string(buffer.size_bytes()) + " bytes and needs " +
                             std::to_string(bytes));
  }
}

}  // namespace lamina

// A symbol that Python may look up.
#define LAMINA_EXPORT extern "C" __attribute__((visibility("default")))
