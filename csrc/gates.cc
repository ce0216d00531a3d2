#include "gates.h"

#include <cstring>

#include "wide.h"

namespace lamina {
namespace {

// A rational function of odd over even degree: within 4 units in the last place of float32, exactly ±1 far out.
LAMINA_INLINE float fast_tanh(float value) {
  const float x = value < -7.90531111f ? -7.90531111f : value > 7.90531111f ? 7.90531111f : value;
  const float y = x * x;
  float p = -2.76076847742355e-16f;
  p = p * y + 2.00018790482477e-13f;
  p = p * y + -8.60467152213735e-11f;
  p = p * y + 5.12229709037114e-08f;
  p = p * y + 1.48572235717979e-05f;
  p = p * y + 6.37261928875436e-04f;
  p = p * y + 4.89352455891786e-03f;
  float q = 1.19825839466702e-06f;
  q = q * y + 1.18534705686654e-04f;
  q = q * y + 2.26843463243900e-03f;
  q = q * y + 4.89352518554385e-03f;
  return x * p / q;
}

LAMINA_INLINE float fast_sigmoid(float x) { return 0.5f + 0.5f * fast_tanh(0.5f * x); }

}  // namespace

LAMINA_WIDE void to_float(const uint16_t* __restrict bfloat16, float* __restrict values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = static_cast<uint32_t>(bfloat16[i]) << 16;
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

LAMINA_WIDE void from_float(const float* __restrict values, uint16_t* __restrict bfloat16, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    bfloat16[i] = static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
  }
}

LAMINA_WIDE void simple_forward(int64_t n, const float* __restrict p, const float* __restrict s,
                                const float* __restrict b, float* __restrict h) {
  for (int64_t j = 0; j < n; ++j) h[j] = fast_tanh(p[j] + s[j] + b[j]);
}

LAMINA_WIDE void gru_forward(int64_t n, const float* __restrict p, const float* __restrict s, const float* __restrict b,
                             const float* __restrict before, float* __restrict h, float* __restrict saved) {
  for (int64_t j = 0; j < n; ++j) {
    const float r = fast_sigmoid(p[j] + s[j] + b[j]);
    const float z = fast_sigmoid(p[n + j] + s[n + j] + b[n + j]);
    const float q = s[2 * n + j] + b[2 * n + j];
    const float c = fast_tanh(p[2 * n + j] + r * q);
    saved[j] = r;
    saved[n + j] = z;
    saved[2 * n + j] = c;
    saved[3 * n + j] = q;
    h[j] = (1 - z) * c + z * before[j];
  }
}

LAMINA_WIDE void lstm_forward(int64_t n, const float* __restrict p, const float* __restrict s,
                              const float* __restrict b, const float* __restrict before, float* __restrict c,
                              float* __restrict h, float* __restrict saved) {
  for (int64_t j = 0; j < n; ++j) {
    const float i = fast_sigmoid(p[j] + s[j] + b[j]);
    const float f = fast_sigmoid(p[n + j] + s[n + j] + b[n + j]);
    const float g = fast_tanh(p[2 * n + j] + s[2 * n + j] + b[2 * n + j]);
    const float o = fast_sigmoid(p[3 * n + j] + s[3 * n + j] + b[3 * n + j]);
    saved[j] = i;
    saved[n + j] = f;
    saved[2 * n + j] = g;
    saved[3 * n + j] = o;
    c[j] = f * before[j] + i * g;
    h[j] = o * fast_tanh(c[j]);
  }
}

LAMINA_WIDE void simple_backward(int64_t n, const float* __restrict dh, const float* __restrict h,
                                 float* __restrict dp) {
  for (int64_t j = 0; j < n; ++j) dp[j] = dh[j] * (1 - h[j] * h[j]);
}

LAMINA_WIDE void gru_backward(int64_t n, const float* __restrict dh, const float* __restrict before,
                              const float* __restrict saved, float* __restrict dp, float* __restrict ds,
                              float* __restrict direct) {
  for (int64_t j = 0; j < n; ++j) {
    const float r = saved[j], z = saved[n + j], c = saved[2 * n + j], q = saved[3 * n + j];
    const float dc = dh[j] * (1 - z) * (1 - c * c);
    const float dr = dc * q * r * (1 - r);
    const float dz = dh[j] * (before[j] - c) * z * (1 - z);
    dp[j] = ds[j] = dr;
    dp[n + j] = ds[n + j] = dz;
    dp[2 * n + j] = dc;
    ds[2 * n + j] = dc * r;
    direct[j] = dh[j] * z;
  }
}

LAMINA_WIDE void lstm_backward(int64_t n, const float* __restrict dh, const float* __restrict before,
                               const float* __restrict c, const float* __restrict saved, float* __restrict dc,
                               float* __restrict dp) {
  for (int64_t j = 0; j < n; ++j) {
    const float i = saved[j], f = saved[n + j], g = saved[2 * n + j], o = saved[3 * n + j];
    const float t = fast_tanh(c[j]);
    const float d = dc[j] + dh[j] * o * (1 - t * t);
    dp[j] = d * g * i * (1 - i);
    dp[n + j] = d * before[j] * f * (1 - f);
    dp[2 * n + j] = d * i * (1 - g * g);
    dp[3 * n + j] = dh[j] * t * o * (1 - o);
    dc[j] = d * f;
  }
}

}  // namespace lamina
