#include "conv_winograd.h"

#include <algorithm>
#include <cstring>

namespace lamina {
namespace {

using dnnl::memory;
using Desc = memory::desc;

constexpr int64_t kBlock = 128;               // tiles whose products are computed together
constexpr int64_t kSmallestPiece = 1 << 14;   // weights that are worth another thread
constexpr double kSmallestSlice = 1e6;        // multiply-adds, for the same reason

}  // namespace

int64_t Winograd::faster(const Geometry& g) {
  if (g.exact || g.axes.size() != 2 || g.groups > 1 || g.in % kLanes || g.out % kLanes) return 0;
  const int64_t window = g.axes[0].window;
  for (const Axis& axis : g.axes) {
    if (axis.window != window || axis.stride != 1 || axis.dilation != 1) return 0;
  }
  if (window != 3 && window != 5) return 0;
  // Measured, in multiply-adds of a product: transforming the weights takes as long as the products of 48 tiles, and a
  // number of a tile, before and after, as long as 20 multiply-adds; in bfloat16, where products are twice as fast, 36.
  // There the larger tiles would cost a digit of the three, and with AMX the products are fast enough as they are.
  constexpr int kAmx = dnnl_cpu_isa_avx512_core_amx;
  const bool half = g.type == memory::data_type::bf16;
  if (half && (dnnl_get_effective_cpu_isa() & kAmx) == kAmx) return 0;
  const double weights = static_cast<double>(g.in) * g.out, channels = g.in + g.out, number = half ? 36 : 20;
  int64_t best = 0;
  double least = 0.9 * window * window * weights * (g.y_elements() / g.out);
  for (const int64_t outputs : {2, 4}) {
    const int64_t side = outputs + window - 1;
    if (side > (half ? 4 : 6)) continue;
    double tiles = g.batch;
    for (const Axis& axis : g.axes) tiles *= (axis.out + outputs - 1) / outputs;
    const double work = side * side * (weights * (tiles + 48) + number * tiles * channels);
    if (work < least) {
      best = outputs;
      least = work;
    }
  }
  return best;
}

Winograd::Winograd(const Geometry& g, Direction direction, int64_t slices, Epilogue epilogue, int64_t outputs)
    : g_(g),
      direction_(direction),
      epilogue_(epilogue),
      outputs_(outputs),
      window_(g.axes[0].window),
      side_(outputs + window_ - 1),
      places_(side_ * side_),
      element_(g.bytes(1)),
      weights_(g.in * g.out) {
  const SingleThread single;
  const Axis &a = g.axes[0], &b = g.axes[1];
  if (direction == Direction::kData) {  // a convolution of dy with the window turned round
    read_ = pictures({a.out, b.out}, {a.low - (window_ - 1), b.low - (window_ - 1)}, g.out, side_);
    other_ = pictures({a.size, b.size}, {0, 0}, g.in, outputs);
  } else {
    read_ = pictures({a.size, b.size}, {-a.low, -b.low}, g.in, side_);
    other_ = pictures({a.out, b.out}, {0, 0}, g.out, outputs);
  }
  tiles_ = g.batch;
  for (size_t i = 0; i < 2; ++i) {
    grid_[i] = (other_.size[i] + outputs - 1) / outputs;
    tiles_ *= grid_[i];
  }
  const double work = static_cast<double>(tiles_) * places_ * weights_;
  slices_ = std::clamp<int64_t>(static_cast<int64_t>(work / kSmallestSlice), 1, std::clamp<int64_t>(tiles_, 1, slices));
  pieces_ = std::clamp<int64_t>(weights_ / kSmallestPiece, 1, slices_);
  const int64_t share = (tiles_ + slices_ - 1) / slices_, blocks = (share + kBlock - 1) / kBlock;
  block_ = (share + blocks - 1) / blocks;

  const auto type = g.type, sums = memory::data_type::f32;
  const bool weights = direction == Direction::kWeights;
  first_ = rows(read_.channels, element_);
  second_ = rows(other_.channels, weights ? element_ : 4);
  const int64_t first = first_.place / element_, second = second_.place / (weights ? element_ : 4);
  if (weights) {
    const Desc left({places_, g.in, block_}, type, memory::dims{first, 1, g.in});
    const Desc right({places_, block_, g.out}, type, memory::dims{second, g.out, 1});
    const Desc sum({places_, g.in, g.out}, sums, memory::format_tag::abc);
    begin_ = product(left, right, sum, false);
    more_ = product(left, right, sum, true);
    sums_bytes_ = aligned(places_ * weights_ * 4);
  } else {
    const bool forward = direction == Direction::kForward;
    const Desc left({places_, block_, read_.channels}, type, memory::dims{first, read_.channels, 1});
    const Desc right({places_, read_.channels, other_.channels}, type,
                     forward ? memory::dims{weights_, g.out, 1} : memory::dims{weights_, 1, g.out});
    const Desc sum({places_, block_, other_.channels}, sums, memory::dims{second, other_.channels, 1});
    begin_ = product(left, right, sum, false);
    packed_bytes_ = g.bytes(places_ * weights_);
  }
  scratchpad_bytes_ = aligned(std::max(begin_.scratchpad.get_size(), weights ? more_.scratchpad.get_size() : 0));
  slice_bytes_ = first_.bytes + second_.bytes + scratchpad_bytes_ + sums_bytes_;
  scratch_bytes_ = slices_ * slice_bytes_ + aligned(packed_bytes_);
}

Winograd::Pictures Winograd::pictures(std::array<int64_t, 2> size, std::array<int64_t, 2> start, int64_t channels,
                                      int64_t side) const {
  Pictures made{size, start, channels, side, {}};
  for (int64_t i = 0; i < side * side; ++i) {
    made.inside[i] = (i / side * size[1] + i % side) * channels * element_;
  }
  return made;
}

Winograd::Rows Winograd::rows(int64_t channels, int64_t element) const {
  const int64_t row = channels * element, place = aligned(block_ * row) + 64;
  Rows made{row, place, places_ * place, {}};
  for (int64_t i = 0; i < places_; ++i) made.places[i] = i * place;
  return made;
}

Winograd::Product Winograd::product(const Desc& a, const Desc& b, const Desc& c, bool sum) {
  auto attributes = user_scratchpad();
  if (sum) {
    dnnl::post_ops after;
    after.append_sum();
    attributes.set_post_ops(after);
  }
  const dnnl::matmul::primitive_desc description(engine(), a, b, c, attributes);
  const auto tile = std::to_string(outputs_) + "x" + std::to_string(outputs_);
  name_ = "Winograd's algorithm, tiles of " + tile + ", " + description.impl_info_str();
  if (name_.find("ref") != std::string::npos) throw dnnl::error(dnnl_unimplemented, "oneDNN has no fast product");
  return {a, b, c, description.scratchpad_desc(), dnnl::matmul(description)};
}

void Winograd::execute(const Product& product, const void* a, const void* b, void* c, void* scratchpad) const {
  product.primitive.execute(stream(), {{DNNL_ARG_SRC, wrap(product.a, a)},
                                       {DNNL_ARG_WEIGHTS, wrap(product.b, b)},
                                       {DNNL_ARG_DST, wrap(product.c, c)},
                                       {DNNL_ARG_SCRATCHPAD, wrap(product.scratchpad, scratchpad)}});
}

// `own`: memory for the offsets of a tile that does not lie in the picture.
Places Winograd::places(const Pictures& pictures, const void* data, int64_t tile, Offsets& own) const {
  char* start = static_cast<char*>(const_cast<void*>(data));
  const auto [rows, columns] = pictures.size;
  const int64_t picture = tile / (grid_[0] * grid_[1]), side = pictures.side;
  const int64_t top = tile / grid_[1] % grid_[0] * outputs_ + pictures.start[0];
  const int64_t left = tile % grid_[1] * outputs_ + pictures.start[1];
  const auto offset = [&](int64_t row, int64_t column) {
    return ((picture * rows + row) * columns + column) * pictures.channels * element_;
  };
  if (top >= 0 && left >= 0 && top + side <= rows && left + side <= columns) {
    return {start + offset(top, left), pictures.inside.data()};
  }
  for (int64_t i = 0; i < side * side; ++i) {
    const int64_t row = top + i / side, column = left + i % side;
    const bool inside = row >= 0 && row < rows && column >= 0 && column < columns;
    own[i] = inside ? offset(row, column) : kNowhere;
  }
  return {start, own.data()};
}

// A block of transformed tiles; zeros behind the last.
void Winograd::load(const Pictures& pictures, const void* data, Transform transform, int64_t first, int64_t count,
                    const Rows& rows, char* to) const {
  Offsets own;
  for (int64_t i = 0; i < count; ++i) {
    const Places from = places(pictures, data, first + i, own);
    transform(pictures.channels, from, {to + i * rows.row, rows.places.data()}, nullptr, {});
  }
  for (int64_t place = 0; place < places_ && count < block_; ++place) {
    std::memset(to + place * rows.place + count * rows.row, 0, (block_ - count) * rows.row);
  }
}

void Winograd::pack(const Schedule& schedule, const void* w, void* packed, void*) const {
  const auto window = transform(Tile::kWindow, outputs_, window_, element_ == 2);
  const int64_t taps = window_ * window_;
  Offsets from, to;
  for (int64_t tap = 0; tap < taps; ++tap) {
    from[tap] = (direction_ == Direction::kData ? taps - 1 - tap : tap) * weights_ * element_;
  }
  for (int64_t place = 0; place < places_; ++place) to[place] = place * weights_ * element_;
  parallel_for(schedule, pieces_, [&](int64_t piece) {
    const int64_t chunks = weights_ / kLanes;
    const int64_t first = chunks * piece / pieces_ * kLanes, last = chunks * (piece + 1) / pieces_ * kLanes;
    char* start = static_cast<char*>(const_cast<void*>(w)) + first * element_;
    window(last - first, {start, from.data()}, {at(packed, first * element_), to.data()}, nullptr, {});
  });
}

void Winograd::run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch,
                   const float* bias, bool packed) const {
  if (direction_ == Direction::kWeights) return run_weights(schedule, a, b, result, scratch);
  const void* w = b;
  if (!packed) {
    char* own = at(scratch, slices_ * slice_bytes_);
    pack(schedule, b, own, scratch);
    w = own;
  }
  const bool half = element_ == 2;
  Bounds bounds;
  if (epilogue_ == Epilogue::kBiasRelu || epilogue_ == Epilogue::kBiasRelu6) bounds.low = 0;
  if (epilogue_ == Epilogue::kBiasRelu6) bounds.high = 6;
  const auto input = transform(Tile::kInput, outputs_, window_, half);
  const auto output = transform(Tile::kOutput, outputs_, window_, half);
  parallel_for(schedule, slices_, [&](int64_t slice) {
    const SingleThread single;
    char* tiles = at(scratch, slice * slice_bytes_);
    char* sums = tiles + first_.bytes;
    Offsets own;
    const int64_t last = tiles_ * (slice + 1) / slices_;
    for (int64_t first = tiles_ * slice / slices_; first < last; first += block_) {
      const int64_t count = std::min(block_, last - first);
      load(read_, a, input, first, count, first_, tiles);
      execute(begin_, tiles, w, sums, sums + second_.bytes);
      for (int64_t i = 0; i < count; ++i) {
        const Places to = places(other_, result, first + i, own);
        output(other_.channels, {sums + i * second_.row, second_.places.data()}, to, bias, bounds);
      }
    }
  });
}

void Winograd::run_weights(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch) const {
  const bool half = element_ == 2;
  const auto input = transform(Tile::kInput, outputs_, window_, half);
  const auto gradient = transform(Tile::kOutputGradient, outputs_, window_, half);
  const auto window = transform(Tile::kWindowGradient, outputs_, window_, half);
  const auto sums_of = [&](int64_t slice) {
    return reinterpret_cast<float*>(at(scratch, (slice + 1) * slice_bytes_ - sums_bytes_));
  };
  parallel_for(schedule, slices_, [&](int64_t slice) {
    const SingleThread single;
    char* tiles = at(scratch, slice * slice_bytes_);
    char* gradients = tiles + first_.bytes;
    const int64_t begin = tiles_ * slice / slices_, last = tiles_ * (slice + 1) / slices_;
    for (int64_t first = begin; first < last; first += block_) {
      const int64_t count = std::min(block_, last - first);
      load(read_, x, input, first, count, first_, tiles);
      load(other_, dy, gradient, first, count, second_, gradients);
      execute(first == begin ? begin_ : more_, tiles, gradients, sums_of(slice), gradients + second_.bytes);
    }
  });
  Offsets from, to;
  for (int64_t place = 0; place < places_; ++place) from[place] = place * weights_ * 4;
  for (int64_t tap = 0; tap < window_ * window_; ++tap) to[tap] = tap * weights_ * element_;
  constexpr int64_t kTogether = 64 * kLanes;  // they stay in a cache between the two steps
  const int64_t chunks = weights_ / kLanes;
  parallel_for(schedule, pieces_, [&](int64_t piece) {
    const int64_t last = chunks * (piece + 1) / pieces_ * kLanes;
    for (int64_t first = chunks * piece / pieces_ * kLanes; first < last; first += kTogether) {
      const int64_t count = std::min(kTogether, last - first);
      for (int64_t place = 0; place < places_; ++place) {
        float* __restrict sum = sums_of(0) + place * weights_ + first;
        for (int64_t slice = 1; slice < slices_; ++slice) {
          const float* __restrict more = sums_of(slice) + place * weights_ + first;
          for (int64_t i = 0; i < count; ++i) sum[i] += more[i];
        }
      }
      window(count, {sums_of(0) + first, from.data()}, {at(dw, first * element_), to.data()}, nullptr, {});
    }
  });
}

}  // namespace lamina
