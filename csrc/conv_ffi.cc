#include <cstdio>

#include "conv.h"
#include "ffi.h"

namespace lamina {
namespace {

// Larger where the program was compiled on another kind of CPU.
constexpr char kScratch[] = "its scratch memory (compile the program anew on this machine)";

template <Direction direction>
ffi::Error run(ffi::ThreadPool pool, ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Result<ffi::AnyBuffer> result,
               ffi::Result<ffi::AnyBuffer> scratch, ffi::Span<const int64_t> geometry) {
  return guarded("lamina convolution", [&] {
    const auto conv = convolution(direction, geometry.begin(), geometry.size());
    const Geometry g = read_geometry(geometry.begin(), geometry.size());
    const int64_t x = g.bytes(g.x_elements()), w = g.bytes(g.w_elements()), y = g.bytes(g.y_elements());
    expect_bytes("its first operand", a, direction == Direction::kData ? y : x);
    expect_bytes("its second operand", b, direction == Direction::kWeights ? y : w);
    expect_bytes("its result", *result, direction == Direction::kForward ? y : direction == Direction::kData ? x : w);
    expect_bytes(kScratch, *scratch, conv->scratch_bytes());
    conv->run(pool_of(pool), a.untyped_data(), b.untyped_data(), result->untyped_data(), scratch->untyped_data());
  });
}

// `direction`: of lamina_conv_plan.
std::shared_ptr<const Convolution> numbered(int64_t direction, const int64_t* geometry, size_t count) {
  const auto epilogue = direction > 2 ? static_cast<Epilogue>(direction - 2) : Epilogue::kNone;
  return convolution(direction > 2 ? Direction::kForward : static_cast<Direction>(direction), geometry, count, epilogue);
}

ffi::Error run_with_bias(ffi::ThreadPool pool, ffi::AnyBuffer x, ffi::AnyBuffer w, ffi::AnyBuffer bias,
                         ffi::Result<ffi::AnyBuffer> y, ffi::Result<ffi::AnyBuffer> scratch,
                         ffi::Span<const int64_t> geometry, int64_t direction, bool packed) {
  return guarded("lamina convolution", [&] {
    const auto conv = numbered(direction, geometry.begin(), geometry.size());
    const Geometry g = read_geometry(geometry.begin(), geometry.size());
    expect_bytes("its input", x, g.bytes(g.x_elements()));
    expect_bytes("its kernel", w, packed ? conv->packed_bytes() : g.bytes(g.w_elements()));
    expect_bytes("its bias", bias, g.out * 4);
    expect_bytes("its result", *y, g.bytes(g.y_elements()));
    expect_bytes(kScratch, *scratch, conv->scratch_bytes());
    conv->run(pool_of(pool), x.untyped_data(), w.untyped_data(), y->untyped_data(), scratch->untyped_data(),
              static_cast<const float*>(bias.untyped_data()), packed);
  });
}

ffi::Error pack(ffi::ThreadPool pool, ffi::AnyBuffer w, ffi::Result<ffi::AnyBuffer> packed,
                ffi::Result<ffi::AnyBuffer> scratch, ffi::Span<const int64_t> geometry, int64_t direction) {
  return guarded("lamina convolution", [&] {
    const auto conv = numbered(direction, geometry.begin(), geometry.size());
    const Geometry g = read_geometry(geometry.begin(), geometry.size());
    expect_bytes("its kernel", w, g.bytes(g.w_elements()));
    expect_bytes("its packed kernel", *packed, conv->packed_bytes());
    expect_bytes(kScratch, *scratch, conv->scratch_bytes());
    conv->pack(pool_of(pool), w.untyped_data(), packed->untyped_data(), scratch->untyped_data());
  });
}

auto binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<ffi::AnyBuffer>()
      .Arg<ffi::AnyBuffer>()
      .Ret<ffi::AnyBuffer>()
      .Ret<ffi::AnyBuffer>()
      .Attr<ffi::Span<const int64_t>>("geometry");
}

}  // namespace

#pragma GCC visibility push(default)
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_conv_forward, run<Direction::kForward>, binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_conv_data, run<Direction::kData>, binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_conv_weights, run<Direction::kWeights>, binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_conv_with_bias, run_with_bias,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("geometry")
                                  .Attr<int64_t>("direction")
                                  .Attr<bool>("packed"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(lamina_conv_pack, pack,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const int64_t>>("geometry")
                                  .Attr<int64_t>("direction"));
#pragma GCC visibility pop

}  // namespace lamina

// Bytes of scratch memory for a convolution, or -1 where oneDNN has no fast kernel for it. `name` gets the kernel's name
// or the reason. `direction`: 0 forward, 1 data, 2 weights, 3 forward with bias, 4 and ReLU, 5 and ReLU6.
LAMINA_EXPORT int64_t lamina_conv_plan(int64_t direction, const int64_t* geometry, int64_t count, char* name,
                                       int64_t size) {
  try {
    const auto conv = lamina::numbered(direction, geometry, count);
    std::snprintf(name, size, "%s", conv->name().c_str());
    return conv->scratch_bytes();
  } catch (const std::exception& error) {
    std::snprintf(name, size, "%s", error.what());
    return -1;
  }
}

// Bytes of the packed weights of a convolution that lamina_conv_plan has a kernel for; 0 where nothing is to be packed.
LAMINA_EXPORT int64_t lamina_conv_packed_bytes(int64_t direction, const int64_t* geometry, int64_t count) {
  try {
    return lamina::numbered(direction, geometry, count)->packed_bytes();
  } catch (const std::exception&) {
    return 0;
  }
}
