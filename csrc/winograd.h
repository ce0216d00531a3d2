// Winograd's transforms of the tiles of a convolution: each computes outputs × outputs of its results at once.
//
// Lavin & Gray 2016, arXiv:1509.09308. With y = A'[(G g G') ⊙ (B' d B)]A the convolution of a tile d with a window g, a
// sum over channels becomes one matrix product for each of the tile's (outputs + window - 1)² places.
#pragma once

#include <cmath>
#include <cstdint>

namespace lamina {

enum class Tile {
  kInput,           // B' d B
  kWindow,          // G g G'
  kOutput,          // A' m A
  kOutputGradient,  // A dy A'
  kWindowGradient,  // G' du G
};

constexpr int64_t kLanes = 16;      // numbers transformed at a time
constexpr int64_t kMostPlaces = 36; // of the largest tile

// A tile's places, row by row: bytes from `start` to the numbers of each, or kNowhere: read as zeros, not written.
struct Places {
  void* start;
  const int64_t* at;
};
constexpr int64_t kNowhere = -1;

// Of what kOutput stores; the other tiles have none.
struct Bounds {
  float low = -INFINITY, high = INFINITY;
};

// `count` numbers at each place, a multiple of kLanes. `bias`: added, or null. `bounds`: what is
// below or above is stored as the bound itself.
using Transform = void (*)(int64_t count, Places from, Places to, const float* bias, Bounds bounds);

// `outputs` and `window`: 2 and 3, 4 and 3, or 2 and 5. `half`: operands and results are bfloat16, but m and du, which are sums, float32 like everything
// without it.
Transform transform(Tile tile, int64_t outputs, int64_t window, bool half);

}  // namespace lamina
