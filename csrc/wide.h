// Loops that compilers vectorise, for the widest instructions that a CPU has.
#pragma once

// One body, compiled for several instruction sets; the loader picks the widest that this CPU has.
// Not under sanitizers, which are not ready yet when the loader asks.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LAMINA_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LAMINA_WIDE
#endif

// What such a body calls must become a part of it.
#define LAMINA_INLINE inline __attribute__((always_inline))
