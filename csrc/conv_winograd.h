// 3×3 and 5×5 convolutions of stride 1 by Winograd's algorithm: 2.25 to 4 times fewer multiplications (winograd.h).
#pragma once

#include <array>

#include "conv.h"
#include "winograd.h"

namespace lamina {

class Winograd : public Convolution {
 public:
  // The side of the tiles of results with which it is faster than the convolution itself; 0 where it is not.
  static int64_t faster(const Geometry& geometry);

  // Throws dnnl::error where oneDNN has no fast product.
  Winograd(const Geometry& geometry, Direction direction, int64_t slices, Epilogue epilogue, int64_t outputs);

  void pack(const Schedule& schedule, const void* w, void* packed, void* scratch) const override;
  void run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch, const float* bias,
           bool packed) const override;

 private:
  using Offsets = std::array<int64_t, kMostPlaces>;

  // Pictures (batch, *size, channels), and where their first tile begins.
  struct Pictures {
    std::array<int64_t, 2> size, start;
    int64_t channels, side;  // side: of a tile
    Offsets inside;          // of the places of a tile that lies in the picture, from its first
  };

  // One operand or result of the products: for each place of a tile `block_` rows of channels, a little apart from the
  // next place's, so that not all of them fall into the same lines of a cache.
  struct Rows {
    int64_t row, place, bytes;  // bytes from a row, and from a place, to the next; of all
    Offsets places;
  };

  struct Product {
    dnnl::memory::desc a, b, c, scratchpad;
    dnnl::matmul primitive;
  };

  Pictures pictures(std::array<int64_t, 2> size, std::array<int64_t, 2> start, int64_t channels, int64_t side) const;
  Rows rows(int64_t channels, int64_t element) const;
  Product product(const dnnl::memory::desc& a, const dnnl::memory::desc& b, const dnnl::memory::desc& c, bool sum);
  void execute(const Product& product, const void* a, const void* b, void* c, void* scratchpad) const;
  Places places(const Pictures& pictures, const void* data, int64_t tile, Offsets& own) const;
  void load(const Pictures& pictures, const void* data, Transform transform, int64_t first, int64_t count,
            const Rows& rows, char* to) const;
  void run_weights(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch) const;

  Geometry g_;
  Direction direction_;
  Epilogue epilogue_;
  int64_t outputs_, window_, side_, places_, element_;  // side_ and places_: of a tile of what is read
  std::array<int64_t, 2> grid_;                 // tiles of a picture
  int64_t tiles_, slices_, block_, pieces_, weights_;
  Pictures read_, other_;                       // other_: what is written, or the gradient of the results
  Rows first_, second_;                         // the tiles of read_ and those of other_
  Product begin_, more_;                        // more_: added to what is there
  int64_t scratchpad_bytes_, sums_bytes_ = 0, slice_bytes_;
};

}  // namespace lamina
