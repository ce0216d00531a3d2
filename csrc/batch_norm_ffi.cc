#include "batch_norm.h"
#include "ffi.h"

namespace lamina {
namespace {

using Buffer = ffi::AnyBuffer;
using Values = ffi::Span<const int64_t>;

// `values`: type (0 float32, 1 bfloat16), slices, rows, channels.
BatchNorm read(Values values, float epsilon) {
  if (values.size() != 4) throw std::invalid_argument("a description of the wrong length");
  const int64_t* v = values.begin();
  return {v[0] != 0, v[1], v[2], v[3], epsilon};
}

const float* floats(Buffer& buffer) { return static_cast<const float*>(buffer.untyped_data()); }

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer scale, Buffer bias, ffi::Result<Buffer> y,
                   ffi::Result<Buffer> mean, ffi::Result<Buffer> var, ffi::Result<Buffer> scratch, Values values,
                   float epsilon) {
  return guarded("lamina batch normalisation", [&] {
    const BatchNorm norm = read(values, epsilon);
    const int64_t channel = norm.channels * 4;
    expect_bytes("the input", x, norm.bytes());
    expect_bytes("the scale", scale, channel);
    expect_bytes("the bias", bias, channel);
    expect_bytes("the result", *y, norm.bytes());
    expect_bytes("the mean", *mean, channel);
    expect_bytes("the variance", *var, channel);
    expect_bytes("its scratch memory", *scratch, norm.scratch_bytes());
    norm.forward(pool_of(pool), x.untyped_data(), floats(scale), floats(bias), y->untyped_data(),
                 static_cast<float*>(mean->untyped_data()), static_cast<float*>(var->untyped_data()),
                 scratch->untyped_data());
  });
}

ffi::Error backward(ffi::ThreadPool pool, Buffer dy, Buffer x, Buffer scale, Buffer mean, Buffer var,
                    ffi::Result<Buffer> dx, ffi::Result<Buffer> d_scale, ffi::Result<Buffer> d_bias,
                    ffi::Result<Buffer> scratch, Values values, float epsilon) {
  return guarded("lamina batch normalisation", [&] {
    const BatchNorm norm = read(values, epsilon);
    const int64_t channel = norm.channels * 4;
    expect_bytes("the result's gradient", dy, norm.bytes());
    expect_bytes("the input", x, norm.bytes());
    expect_bytes("the scale", scale, channel);
    expect_bytes("the mean", mean, channel);
    expect_bytes("the variance", var, channel);
    expect_bytes("the input's gradient", *dx, norm.bytes());
    expect_bytes("the scale's gradient", *d_scale, channel);
    expect_bytes("the bias' gradient", *d_bias, channel);
    expect_bytes("its scratch memory", *scratch, norm.scratch_bytes());
    norm.backward(pool_of(pool), dy.untyped_data(), x.untyped_data(), floats(scale), floats(mean), floats(var),
                  dx->untyped_data(), static_cast<float*>(d_scale->untyped_data()),
                  static_cast<float*>(d_bias->untyped_data()), scratch->untyped_data());
  });
}

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_batch_norm_forward, forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<Values>("shape").Attr<float>("epsilon"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_batch_norm_backward, backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>()
                                  .Attr<Values>("shape").Attr<float>("epsilon"));
#pragma GCC visibility pop

}  // namespace lamina
