#include <oneapi/dnnl/dnnl.h>
#include <xla/ffi/api/c_api.h>

#include "ffi.h"

// The FFI API that this library was built with: XLA refuses handlers that are newer than itself.
LAMINA_EXPORT int64_t lamina_ffi_major() { return XLA_FFI_API_MAJOR; }
LAMINA_EXPORT int64_t lamina_ffi_minor() { return XLA_FFI_API_MINOR; }

// 0 for plain x86-64, else oneDNN's number of the widest instructions it uses here.
LAMINA_EXPORT int64_t lamina_isa() { return dnnl_get_effective_cpu_isa(); }
