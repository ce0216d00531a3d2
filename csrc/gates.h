// The arithmetic of recurrent cells for one example and one step: loops over units that compilers vectorise.
#pragma once

#include <cstdint>

namespace lamina {

void to_float(const uint16_t* bfloat16, float* values, int64_t count);
void from_float(const float* values, uint16_t* bfloat16, int64_t count);

// p: projected input, s: h U, b: bias, each of the cell's gates side by side; see recurrent.h.
void simple_forward(int64_t units, const float* p, const float* s, const float* b, float* h);
void gru_forward(int64_t units, const float* p, const float* s, const float* b, const float* h_before, float* h,
                 float* saved);
void lstm_forward(int64_t units, const float* p, const float* s, const float* b, const float* c_before, float* c,
                  float* h, float* saved);

// dh: gradient of h'. dp: gradient of p. ds: gradient of s. `direct`: what reaches h other than through s.
void simple_backward(int64_t units, const float* dh, const float* h, float* dp);
void gru_backward(int64_t units, const float* dh, const float* h_before, const float* saved, float* dp, float* ds,
                  float* direct);
// dc comes in as the gradient of c' and goes out as that of c.
void lstm_backward(int64_t units, const float* dh, const float* c_before, const float* c, const float* saved, float* dc,
                   float* dp);

}  // namespace lamina
