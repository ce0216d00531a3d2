#include "winograd.h"

#include <cstring>
#include <type_traits>

#include "wide.h"

namespace lamina {
namespace {

typedef float Lanes __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2), aligned(2)));

struct Matrix {
  int rows, columns;
  float values[6][6];

  constexpr Matrix transposed() const {
    Matrix other{columns, rows, {}};
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) other.values[j][i] = values[i][j];
    }
    return other;
  }
};

// Interpolation at 0, 1, -1 and infinity: as exact as a sum of products.
constexpr Matrix kInput4{4, 4, {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}}};

// At 0, ±3/4, ±3/2 and infinity: half the rounding error of the usual 0, ±1, ±2 and infinity. Points so close together
// keep the powers small, and are exact in binary.
constexpr Matrix kInput6{6,
                         6,
                         {{81 / 64.f, 0, -45 / 16.f, 0, 1, 0},
                          {0, -27 / 16.f, -9 / 4.f, 3 / 4.f, 1, 0},
                          {0, 27 / 16.f, -9 / 4.f, -3 / 4.f, 1, 0},
                          {0, -27 / 32.f, -9 / 16.f, 3 / 2.f, 1, 0},
                          {0, 27 / 32.f, -9 / 16.f, -3 / 2.f, 1, 0},
                          {0, 81 / 64.f, 0, -45 / 16.f, 0, 1}}};

template <int outputs, int window>
struct Algorithm;

template <>
struct Algorithm<2, 3> {
  static constexpr Matrix kInput = kInput4;
  static constexpr Matrix kWindow{4, 3, {{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}}};
  static constexpr Matrix kOutput{2, 4, {{1, 1, 1, 0}, {0, 1, -1, -1}}};
};

template <>
struct Algorithm<4, 3> {
  static constexpr Matrix kInput = kInput6;
  static constexpr Matrix kWindow{6,
                                  3,
                                  {{64 / 81.f, 0, 0},
                                   {-128 / 243.f, -32 / 81.f, -8 / 27.f},
                                   {-128 / 243.f, 32 / 81.f, -8 / 27.f},
                                   {32 / 243.f, 16 / 81.f, 8 / 27.f},
                                   {32 / 243.f, -16 / 81.f, 8 / 27.f},
                                   {0, 0, 1}}};
  static constexpr Matrix kOutput{4,
                                  6,
                                  {{1, 1, 1, 1, 1, 0},
                                   {0, 3 / 4.f, -3 / 4.f, 3 / 2.f, -3 / 2.f, 0},
                                   {0, 9 / 16.f, 9 / 16.f, 9 / 4.f, 9 / 4.f, 0},
                                   {0, 27 / 64.f, -27 / 64.f, 27 / 8.f, -27 / 8.f, 1}}};
};

template <>
struct Algorithm<2, 5> {
  static constexpr Matrix kInput = kInput6;
  static constexpr Matrix kWindow{6,
                                  5,
                                  {{64 / 81.f, 0, 0, 0, 0},
                                   {-128 / 243.f, -32 / 81.f, -8 / 27.f, -2 / 9.f, -1 / 6.f},
                                   {-128 / 243.f, 32 / 81.f, -8 / 27.f, 2 / 9.f, -1 / 6.f},
                                   {32 / 243.f, 16 / 81.f, 8 / 27.f, 4 / 9.f, 2 / 3.f},
                                   {32 / 243.f, -16 / 81.f, 8 / 27.f, -4 / 9.f, 2 / 3.f},
                                   {0, 0, 0, 0, 1}}};
  static constexpr Matrix kOutput{2, 6, {{1, 1, 1, 1, 1, 0}, {0, 3 / 4.f, -3 / 4.f, 3 / 2.f, -3 / 2.f, 1}}};
};

template <int outputs, int window, Tile tile>
constexpr Matrix matrix() {
  using Own = Algorithm<outputs, window>;
  switch (tile) {
    case Tile::kInput: return Own::kInput;
    case Tile::kWindow: return Own::kWindow;
    case Tile::kOutput: return Own::kOutput;
    case Tile::kOutputGradient: return Own::kOutput.transposed();
    case Tile::kWindowGradient: return Own::kWindow.transposed();
  }
}

// By reference: how vectors are passed by value differs between instruction sets.
LAMINA_INLINE void load(const float* from, Lanes& values) { std::memcpy(&values, from, sizeof values); }

LAMINA_INLINE void load(const uint16_t* from, Lanes& values) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  const Words words = __builtin_convertvector(halves, Words) << 16;
  std::memcpy(&values, &words, sizeof values);
}

LAMINA_INLINE void store(float* to, const Lanes& values) { std::memcpy(to, &values, sizeof values); }

// To nearest, ties to even.
LAMINA_INLINE void store(uint16_t* to, const Lanes& values) {
  Words words;
  std::memcpy(&words, &values, sizeof words);
  const Words rounded = (words + 0x7fffu + ((words >> 16) & 1u)) >> 16;
  const Words quiet = (words >> 16) | 0x40u;
  const auto nan = (words & 0x7fffffffu) > 0x7f800000u;
  const Halves halves = __builtin_convertvector(nan ? quiet : rounded, Halves);
  std::memcpy(to, &halves, sizeof halves);
}

// Of which rows the next one differs in signs alone: the two share their products.
struct Pairs {
  bool first[7], second[7];
};

constexpr Pairs pairs_of(const Matrix& m) {
  Pairs pairs{};
  for (int i = 0; i + 1 < m.rows; ++i) {
    bool same = !pairs.second[i];
    for (int j = 0; j < m.columns; ++j) {
      same = same && (m.values[i][j] == m.values[i + 1][j] || m.values[i][j] == -m.values[i + 1][j]);
    }
    pairs.first[i] = pairs.second[i + 1] = same;
  }
  return pairs;
}

// sum + factor value, where zeros and ones cost nothing.
LAMINA_INLINE void add(float factor, const Lanes& value, Lanes& sum, bool& begun) {
  if (factor == 0) return;
  if (!begun) {
    sum = factor == 1 ? value : factor * value;
  } else {
    sum = factor == 1 ? sum + value : factor == -1 ? sum - value : sum + factor * value;
  }
  begun = true;
}

// One row or column times the matrix.
template <int outputs, int window, Tile tile>
LAMINA_INLINE void multiply(const Lanes* from, int from_step, Lanes* to, int to_step) {
  constexpr Matrix m = matrix<outputs, window, tile>();
  constexpr Pairs rows = pairs_of(m), columns = pairs_of(m.transposed());
  // Of a pair of columns: the sum for the rows where they are equal, the difference for the others.
  Lanes x[6], difference[6];
#pragma GCC unroll 6
  for (int j = 0; j < m.columns; ++j) {
    x[j] = from[j * from_step];
    if (!columns.second[j]) continue;
    difference[j - 1] = x[j - 1] - x[j];
    x[j - 1] += x[j];
  }
#pragma GCC unroll 6
  for (int i = 0; i < m.rows; ++i) {
    if (rows.second[i]) continue;
    Lanes even{}, odd{};  // of a pair of rows: what they have in common, and with opposite signs
    bool some_even = false, some_odd = false;
#pragma GCC unroll 6
    for (int j = 0; j < m.columns; ++j) {
      if (columns.second[j]) continue;
      const bool differ = columns.first[j] && m.values[i][j] != m.values[i][j + 1];
      const bool opposite = rows.first[i] && m.values[i][j] != m.values[i + 1][j];
      add(m.values[i][j], differ ? difference[j] : x[j], opposite ? odd : even, opposite ? some_odd : some_even);
    }
    to[i * to_step] = rows.first[i] ? even + odd : even;
    if (rows.first[i]) to[(i + 1) * to_step] = even - odd;
  }
}

template <int outputs, int window, Tile tile, typename From, typename To>
LAMINA_WIDE void run(int64_t count, Places from, Places to, const float* bias, Bounds bounds) {
  constexpr Matrix m = matrix<outputs, window, tile>();
  constexpr int before = m.columns * m.columns, after = m.rows * m.rows;
  for (int64_t c = 0; c < count; c += kLanes) {
    Lanes x[before], half_way[m.rows * m.columns], y[after], offset{};
    if (tile == Tile::kOutput && bias) load(bias + c, offset);
    const Lanes low = Lanes{} + bounds.low, high = Lanes{} + bounds.high;
#pragma GCC unroll 36
    for (int i = 0; i < before; ++i) {
      x[i] = Lanes{};
      const char* place = static_cast<const char*>(from.start) + from.at[i];
      if (from.at[i] != kNowhere) load(reinterpret_cast<const From*>(place) + c, x[i]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < m.columns; ++j) multiply<outputs, window, tile>(x + j, m.columns, half_way + j, m.columns);
#pragma GCC unroll 6
    for (int i = 0; i < m.rows; ++i) multiply<outputs, window, tile>(half_way + i * m.columns, 1, y + i * m.rows, 1);
#pragma GCC unroll 36
    for (int i = 0; i < after; ++i) {
      if (tile == Tile::kOutput && bias) y[i] += offset;
      if (tile == Tile::kOutput) y[i] = y[i] < low ? low : y[i] > high ? high : y[i];  // not a number stays one
      char* place = static_cast<char*>(to.start) + to.at[i];
      if (to.at[i] != kNowhere) store(reinterpret_cast<To*>(place) + c, y[i]);
    }
  }
}

// What is multiplied has the operands' type, sums of products are float32.
template <int outputs, int window, Tile tile>
Transform typed(bool half) {
  constexpr bool sums = tile == Tile::kOutput || tile == Tile::kWindowGradient;
  if (!half) return run<outputs, window, tile, float, float>;
  return run<outputs, window, tile, std::conditional_t<sums, float, uint16_t>, uint16_t>;
}

template <int outputs, int window>
Transform sized(Tile tile, bool half) {
  switch (tile) {
    case Tile::kInput: return typed<outputs, window, Tile::kInput>(half);
    case Tile::kWindow: return typed<outputs, window, Tile::kWindow>(half);
    case Tile::kOutput: return typed<outputs, window, Tile::kOutput>(half);
    case Tile::kOutputGradient: return typed<outputs, window, Tile::kOutputGradient>(half);
    case Tile::kWindowGradient: return typed<outputs, window, Tile::kWindowGradient>(half);
  }
  return nullptr;
}

}  // namespace

Transform transform(Tile tile, int64_t outputs, int64_t window, bool half) {
  if (window == 5) return sized<2, 5>(tile, half);
  return outputs == 2 ? sized<2, 3>(tile, half) : sized<4, 3>(tile, half);
}

}  // namespace lamina
