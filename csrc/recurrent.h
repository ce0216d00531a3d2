// Recurrent layers over whole sequences, forward and backward through time. Each thread takes its share of the batch
// through all time steps, so that no step waits for another thread. Plain arithmetic: XLA's side is in recurrent_ffi.cc.
#pragma once

#include <memory>

#include "onednn.h"
#include "parallel.h"

namespace lamina {

enum class Cell { kSimple, kGru, kLstm };

// What a cell does with s = h U + b and the projected input p, each `gates()` times `units` wide:
//   simple: h' = tanh(p + s)
//   GRU:    r, z = sigmoid(p + s), n = tanh(p_n + r s_n), h' = (1 - z) n + z h          (order r, z, n)
//   LSTM:   i, f, o = sigmoid(p + s), g = tanh(p + s), c' = f c + i g, h' = o tanh(c')  (order i, f, g, o)
struct Sequences {
  dnnl::memory::data_type type;
  Cell cell;
  int64_t batch, steps, units;

  int64_t gates() const { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
  // What the backward pass needs: LSTM i, f, g, o; GRU r, z, n, s_n; the simple cell nothing but its outputs.
  int64_t saved() const { return cell == Cell::kSimple ? 0 : 4; }
  int64_t cells() const { return cell == Cell::kLstm ? 1 : 0; }
};

// Arrays are dense and of the sequences' type, except for the cell states c, which are float32.
struct ForwardArrays {
  const void *projected;  // (batch, steps, gates units)
  const void *kernel;     // (units, gates units)
  const void *bias;       // (gates units)
  const void *h0;         // (batch, units)
  const float *c0;        // (batch, units)
  void *outputs;          // (batch, steps, units)
  void *saved;            // (batch, steps, saved units)
  float *cells;           // (batch, steps, units)
};

struct BackwardArrays {
  const void *d_outputs;  // (batch, steps, units)
  const float *d_cell;    // (batch, units): gradient of the last cell state
  const void *kernel, *h0;
  const float *c0;
  const void *outputs, *saved;
  const float *cells;
  void *d_projected;  // (batch, steps, gates units)
  float *d_h0, *d_c0;
};

class Recurrence {
 public:
  Recurrence(const Sequences& sequences, bool backward, int64_t slices);
  int64_t scratch_bytes() const { return scratch_bytes_; }
  void forward(const Schedule& schedule, const ForwardArrays& arrays, void* scratch) const;
  void backward(const Schedule& schedule, const BackwardArrays& arrays, void* scratch) const;

 private:
  struct Slice {
    dnnl::matmul product;
    dnnl::memory::desc a, c, scratchpad;
    int64_t first, count, at;  // examples, and the slice's own scratch memory
  };

  // The slice's product of its `a` (examples, k) with the packed kernel into its `c` (examples, n), float32.
  struct Workspace;
  void pack(const void* kernel, void* scratch) const;
  Workspace workspace(const Slice& slice, void* scratch) const;

  Sequences s_;
  bool backward_;
  int64_t k_, n_;  // the product's sizes
  dnnl::memory::desc plain_, packed_, reorder_scratchpad_;
  dnnl::reorder reorder_;
  std::vector<Slice> slices_;
  int64_t packed_at_ = 0, reorder_at_ = 0, scratch_bytes_ = 0;
};

// From a cache. `values`: type (0 float32, 1 bfloat16), slices, cell, batch, steps, units.
std::shared_ptr<const Recurrence> recurrence(bool backward, const int64_t* values, size_t count);

Sequences read_sequences(const int64_t* values, size_t count);

}  // namespace lamina
