#include <cstdio>

#include "ffi.h"
#include "recurrent.h"

namespace lamina {
namespace {

using Values = ffi::Span<const int64_t>;

// Bytes of the arrays that several of the buffers are.
struct Bytes {
  explicit Bytes(const Sequences& s) {
    const int64_t size = dnnl::memory::data_type_size(s.type);
    wide = s.batch * s.steps * s.gates() * s.units * size;
    outputs = s.batch * s.steps * s.units * size;
    saved = s.batch * s.steps * s.saved() * s.units * size;
    cells = s.batch * s.steps * s.cells() * s.units * 4;
    kernel = s.units * s.gates() * s.units * size;
    bias = s.gates() * s.units * size;
    state = s.batch * s.units * size;
    wide_state = s.batch * s.units * 4;
    cell_state = s.cells() * wide_state;
  }
  int64_t wide, outputs, saved, cells, kernel, bias, state, wide_state, cell_state;
};

ffi::Error forward(ffi::ThreadPool pool, ffi::AnyBuffer projected, ffi::AnyBuffer kernel, ffi::AnyBuffer bias,
                   ffi::AnyBuffer h0, ffi::AnyBuffer c0, ffi::Result<ffi::AnyBuffer> outputs,
                   ffi::Result<ffi::AnyBuffer> saved, ffi::Result<ffi::AnyBuffer> cells,
                   ffi::Result<ffi::AnyBuffer> scratch, Values values) {
  return guarded("lamina recurrence", [&] {
    const Bytes bytes(read_sequences(values.begin(), values.size()));
    const auto run = recurrence(false, values.begin(), values.size());
    expect_bytes("the projected input", projected, bytes.wide);
    expect_bytes("the kernel", kernel, bytes.kernel);
    expect_bytes("the bias", bias, bytes.bias);
    expect_bytes("the first state", h0, bytes.state);
    expect_bytes("the first cell state", c0, bytes.cell_state);
    expect_bytes("the outputs", *outputs, bytes.outputs);
    expect_bytes("the saved gates", *saved, bytes.saved);
    expect_bytes("the cell states", *cells, bytes.cells);
    expect_bytes("its scratch memory (compile the program anew on this machine)", *scratch, run->scratch_bytes());
    run->forward(pool_of(pool),
                 {projected.untyped_data(), kernel.untyped_data(), bias.untyped_data(), h0.untyped_data(),
                  static_cast<const float*>(c0.untyped_data()), outputs->untyped_data(), saved->untyped_data(),
                  static_cast<float*>(cells->untyped_data())},
                 scratch->untyped_data());
  });
}

ffi::Error backward(ffi::ThreadPool pool, ffi::AnyBuffer d_outputs, ffi::AnyBuffer d_cell, ffi::AnyBuffer kernel,
                    ffi::AnyBuffer h0, ffi::AnyBuffer c0, ffi::AnyBuffer outputs, ffi::AnyBuffer saved,
                    ffi::AnyBuffer cells, ffi::Result<ffi::AnyBuffer> d_projected, ffi::Result<ffi::AnyBuffer> d_h0,
                    ffi::Result<ffi::AnyBuffer> d_c0, ffi::Result<ffi::AnyBuffer> scratch, Values values) {
  return guarded("lamina recurrence", [&] {
    const Bytes bytes(read_sequences(values.begin(), values.size()));
    const auto run = recurrence(true, values.begin(), values.size());
    expect_bytes("the outputs' gradient", d_outputs, bytes.outputs);
    expect_bytes("the cell state's gradient", d_cell, bytes.cell_state);
    expect_bytes("the kernel", kernel, bytes.kernel);
    expect_bytes("the first state", h0, bytes.state);
    expect_bytes("the first cell state", c0, bytes.cell_state);
    expect_bytes("the outputs", outputs, bytes.outputs);
    expect_bytes("the saved gates", saved, bytes.saved);
    expect_bytes("the cell states", cells, bytes.cells);
    expect_bytes("the projected input's gradient", *d_projected, bytes.wide);
    expect_bytes("the first state's gradient", *d_h0, bytes.wide_state);
    expect_bytes("the first cell state's gradient", *d_c0, bytes.cell_state);
    expect_bytes("its scratch memory (compile the program anew on this machine)", *scratch, run->scratch_bytes());
    run->backward(pool_of(pool),
                  {d_outputs.untyped_data(), static_cast<const float*>(d_cell.untyped_data()), kernel.untyped_data(),
                   h0.untyped_data(), static_cast<const float*>(c0.untyped_data()), outputs.untyped_data(),
                   saved.untyped_data(), static_cast<const float*>(cells.untyped_data()), d_projected->untyped_data(),
                   static_cast<float*>(d_h0->untyped_data()), static_cast<float*>(d_c0->untyped_data())},
                  scratch->untyped_data());
  });
}

using Buffer = ffi::AnyBuffer;

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_recurrent_forward, forward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Attr<Values>("sequences"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_recurrent_backward, backward,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                                  .Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>().Arg<Buffer>()
                                  .Arg<Buffer>().Arg<Buffer>()
                                  .Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Ret<Buffer>().Attr<Values>("sequences"));
#pragma GCC visibility pop

}  // namespace lamina

// As lamina_conv_plan; `backward` is 0 or 1.
LAMINA_EXPORT int64_t lamina_recurrent_plan(int64_t backward, const int64_t* sequences, int64_t count, char* name,
                                            int64_t size) {
  try {
    const auto run = lamina::recurrence(backward != 0, sequences, count);
    std::snprintf(name, size, "a loop over time in C++, products by oneDNN");
    return run->scratch_bytes();
  } catch (const std::exception& error) {
    std::snprintf(name, size, "%s", error.what());
    return -1;
  }
}
