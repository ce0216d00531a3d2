#include <cstdio>

#include "batch_norm.h"
#include "ffi.h"

namespace lamina {
namespace {

using Buffer = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;
using Values = ffi::Span<const int64_t>;

// `values`: type (0 float32, 1 bfloat16), slices, what comes after, rows, channels.
BatchNorm read(const int64_t* v, int64_t count, float epsilon, float bound) {
  if (count != 5) throw std::invalid_argument("a description of the wrong length");
  return {v[0] != 0, static_cast<After>(v[2]), bound, v[1], v[3], v[4], epsilon};
}

const float* floats(Buffer& buffer) { return static_cast<const float*>(buffer.untyped_data()); }

// `added` is read, and `y` and `d_added` are touched, only with a sum: otherwise any buffers will do.
ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer scale, Buffer bias, Buffer added, Result y, Result mean,
                   Result var, Result scratch, Values values, float epsilon, float bound) {
  return guarded("lamina batch normalisation", [&] {
    const BatchNorm norm = read(values.begin(), values.size(), epsilon, bound);
    const int64_t channel = norm.channels * 4;
    expect_bytes("the input", x, norm.bytes());
    expect_bytes("the scale", scale, channel);
    expect_bytes("the bias", bias, channel);
    if (norm.after == After::kSumRelu) expect_bytes("what is added", added, norm.bytes());
    expect_bytes("the result", *y, norm.bytes());
    expect_bytes("the mean", *mean, channel);
    expect_bytes("the variance", *var, channel);
    expect_bytes("its scratch memory", *scratch, norm.scratch_bytes());
    norm.forward(pool_of(pool), x.untyped_data(), floats(scale), floats(bias), added.untyped_data(), y->untyped_data(),
                 static_cast<float*>(mean->untyped_data()), static_cast<float*>(var->untyped_data()),
                 scratch->untyped_data());
  });
}

ffi::Error backward(ffi::ThreadPool pool, Buffer dy, Buffer x, Buffer scale, Buffer bias, Buffer mean, Buffer var,
                    Buffer y, Result dx, Result d_scale, Result d_bias, Result d_added, Result scratch, Values values,
                    float epsilon, float bound) {
  return guarded("lamina batch normalisation", [&] {
    const BatchNorm norm = read(values.begin(), values.size(), epsilon, bound);
    const int64_t channel = norm.channels * 4;
    expect_bytes("the result's gradient", dy, norm.bytes());
    expect_bytes("the input", x, norm.bytes());
    expect_bytes("the scale", scale, channel);
    expect_bytes("the bias", bias, channel);
    expect_bytes("the mean", mean, channel);
    expect_bytes("the variance", var, channel);
    if (norm.after == After::kSumRelu) {
      expect_bytes("the result", y, norm.bytes());
      expect_bytes("the gradient of what is added", *d_added, norm.bytes());
    }
    expect_bytes("the input's gradient", *dx, norm.bytes());
    expect_bytes("the scale's gradient", *d_scale, channel);
    expect_bytes("the bias' gradient", *d_bias, channel);
    expect_bytes("its scratch memory", *scratch, norm.scratch_bytes());
    norm.backward(pool_of(pool), dy.untyped_data(), x.untyped_data(), floats(scale), floats(bias), floats(mean),
                  floats(var), y.untyped_data(), dx->untyped_data(), static_cast<float*>(d_scale->untyped_data()),
                  static_cast<float*>(d_bias->untyped_data()), d_added->untyped_data(), scratch->untyped_data());
  });
}

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_batch_norm_forward, forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<Values>("shape").Attr<float>("epsilon").Attr<float>("bound"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_batch_norm_backward, backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<Values>("shape").Attr<float>("epsilon").Attr<float>("bound"));
#pragma GCC visibility pop

}  // namespace lamina

// Bytes of scratch memory. `direction`: 0 forward, 1 backward; both need the same.
LAMINA_EXPORT int64_t lamina_batch_norm_plan(int64_t, const int64_t* values, int64_t count, char* name, int64_t size) {
  try {
    const lamina::BatchNorm norm = lamina::read(values, count, 1, 1);
    const bool nothing = norm.after == lamina::After::kNothing, relu = norm.after == lamina::After::kRelu;
    std::snprintf(name, size, "ours%s", nothing ? "" : relu ? ", with ReLU" : ", with sum and ReLU");
    return norm.scratch_bytes();
  } catch (const std::exception& error) {
    std::snprintf(name, size, "%s", error.what());
    return -1;
  }
}
