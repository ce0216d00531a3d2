#include "recurrent.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "gates.h"

namespace lamina {
namespace {

using dnnl::memory;
using Desc = memory::desc;
using Tag = memory::format_tag;

// Rows of an array in float32: as they are, or converted into a buffer and back.
struct Rows {
  memory::data_type type;
  int64_t width;
  void* array;

  bool wide() const { return type == memory::data_type::f32; }
  char* row(int64_t index) const { return static_cast<char*>(array) + index * width * (wide() ? 4 : 2); }
  const float* read(int64_t index, float* buffer) const {
    if (wide()) return reinterpret_cast<const float*>(row(index));
    to_float(reinterpret_cast<const uint16_t*>(row(index)), buffer, width);
    return buffer;
  }
  float* open(int64_t index, float* buffer) const { return wide() ? reinterpret_cast<float*>(row(index)) : buffer; }
  void close(int64_t index, const float* buffer) const {
    if (!wide()) from_float(buffer, reinterpret_cast<uint16_t*>(row(index)), width);
  }
};

Rows rows(memory::data_type type, int64_t width, const void* array) {
  return {type, width, const_cast<void*>(array)};
}

}  // namespace

// One slice's scratch memory: the product's operands and result, and one row of each array in float32.
struct Recurrence::Workspace {
  void* a;           // (examples, k) of the sequences' type
  float* c;          // (examples, n)
  float* state;      // (examples, units): backward, dc or what reaches h directly
  float* buffers[6];  // each as wide as the widest row
  std::unordered_map<int, memory> arguments;
};

Recurrence::Recurrence(const Sequences& s, bool backward, int64_t slices)
    : s_(s), backward_(backward), k_(backward ? s.gates() * s.units : s.units), n_(backward ? s.units : s.gates() * s.units) {
  const SingleThread single;
  const auto f32 = memory::data_type::f32;
  plain_ = Desc({k_, n_}, s.type, backward ? Tag::ba : Tag::ab);
  const int64_t count = std::clamp<int64_t>(slices, 1, s.batch);
  for (int64_t i = 0; i < count; ++i) {
    Slice slice;
    slice.first = s.batch * i / count;
    slice.count = s.batch * (i + 1) / count - slice.first;
    slice.a = Desc({slice.count, k_}, s.type, Tag::ab);
    slice.c = Desc({slice.count, n_}, f32, Tag::ab);
    const auto wanted = i == 0 ? Desc({k_, n_}, s.type, Tag::any) : packed_;
    const dnnl::matmul::primitive_desc description(engine(), slice.a, wanted, slice.c, user_scratchpad());
    if (i == 0) packed_ = description.weights_desc();
    slice.product = dnnl::matmul(description);
    slice.scratchpad = description.scratchpad_desc();
    slice.at = scratch_bytes_;
    const int64_t widest = std::max<int64_t>(4, s.gates()) * s.units;
    scratch_bytes_ += aligned(slice.a.get_size()) + aligned(slice.c.get_size()) + aligned(slice.count * s.units * 4) +
                      6 * aligned(widest * 4) + aligned(slice.scratchpad.get_size());
    slices_.push_back(slice);
  }
  if (packed_ != plain_) {
    const dnnl::reorder::primitive_desc description(engine(), plain_, engine(), packed_, user_scratchpad());
    reorder_ = dnnl::reorder(description);
    reorder_scratchpad_ = description.scratchpad_desc();
    packed_at_ = scratch_bytes_;
    reorder_at_ = packed_at_ + aligned(packed_.get_size());
    scratch_bytes_ = reorder_at_ + aligned(reorder_scratchpad_.get_size());
  }
}

void Recurrence::pack(const void* kernel, void* scratch) const {
  if (packed_ == plain_) return;
  const SingleThread single;
  reorder_.execute(stream(), {{DNNL_ARG_FROM, wrap(plain_, kernel)},
                              {DNNL_ARG_TO, wrap(packed_, at(scratch, packed_at_))},
                              {DNNL_ARG_SCRATCHPAD, wrap(reorder_scratchpad_, at(scratch, reorder_at_))}});
}

Recurrence::Workspace Recurrence::workspace(const Slice& slice, void* scratch) const {
  int64_t next = slice.at;
  const auto take = [&](int64_t bytes) {
    char* start = at(scratch, next);
    next += aligned(bytes);
    return start;
  };
  Workspace w;
  w.a = take(slice.a.get_size());
  w.c = reinterpret_cast<float*>(take(slice.c.get_size()));
  w.state = reinterpret_cast<float*>(take(slice.count * s_.units * 4));
  for (float*& buffer : w.buffers) buffer = reinterpret_cast<float*>(take(std::max<int64_t>(4, s_.gates()) * s_.units * 4));
  w.arguments = {{DNNL_ARG_SRC, wrap(slice.a, w.a)},
                 {DNNL_ARG_WEIGHTS, memory()},
                 {DNNL_ARG_DST, wrap(slice.c, w.c)},
                 {DNNL_ARG_SCRATCHPAD, wrap(slice.scratchpad, take(slice.scratchpad.get_size()))}};
  return w;
}

void Recurrence::forward(const Schedule& schedule, const ForwardArrays& arrays, void* scratch) const {
  pack(arrays.kernel, scratch);
  const int64_t units = s_.units, width = s_.gates() * units;
  const Rows projected = rows(s_.type, width, arrays.projected), outputs = rows(s_.type, units, arrays.outputs);
  const Rows saved = rows(s_.type, s_.saved() * units, arrays.saved), h0 = rows(s_.type, units, arrays.h0);
  std::vector<float> bias_buffer(width);
  const float* bias = rows(s_.type, width, arrays.bias).read(0, bias_buffer.data());
  parallel_for(schedule, slices_.size(), [&](int64_t index) {
    const SingleThread single;
    const Slice& slice = slices_[index];
    Workspace w = workspace(slice, scratch);
    w.arguments[DNNL_ARG_WEIGHTS] = wrap(packed_, packed_ == plain_ ? arrays.kernel : at(scratch, packed_at_));
    const Rows h = rows(s_.type, units, w.a);  // the product's operand is the state
    std::memcpy(w.a, h0.row(slice.first), slice.count * (h0.row(1) - h0.row(0)));
    for (int64_t step = 0; step < s_.steps; ++step) {
      slice.product.execute(stream(), w.arguments);
      for (int64_t example = 0; example < slice.count; ++example) {
        const int64_t batch = slice.first + example, at = batch * s_.steps + step;
        const float* p = projected.read(at, w.buffers[0]);
        const float* product = w.c + example * width;
        float* y = outputs.open(at, w.buffers[1]);
        if (s_.cell == Cell::kSimple) {
          simple_forward(units, p, product, bias, y);
        } else if (s_.cell == Cell::kGru) {
          float* kept = saved.open(at, w.buffers[2]);
          gru_forward(units, p, product, bias, h.read(example, w.buffers[3]), y, kept);
          saved.close(at, kept);
        } else {
          float* kept = saved.open(at, w.buffers[2]);
          float* c = arrays.cells + at * units;
          lstm_forward(units, p, product, bias, step ? c - units : arrays.c0 + batch * units, c, y, kept);
          saved.close(at, kept);
        }
        outputs.close(at, y);
        std::memcpy(h.row(example), outputs.row(at), h.row(1) - h.row(0));
      }
    }
  });
}

void Recurrence::backward(const Schedule& schedule, const BackwardArrays& arrays, void* scratch) const {
  pack(arrays.kernel, scratch);
  const int64_t units = s_.units, width = s_.gates() * units;
  const Rows d_outputs = rows(s_.type, units, arrays.d_outputs), outputs = rows(s_.type, units, arrays.outputs);
  const Rows saved = rows(s_.type, s_.saved() * units, arrays.saved), h0 = rows(s_.type, units, arrays.h0);
  const Rows d_projected = rows(s_.type, width, arrays.d_projected);
  parallel_for(schedule, slices_.size(), [&](int64_t index) {
    const SingleThread single;
    const Slice& slice = slices_[index];
    Workspace w = workspace(slice, scratch);
    w.arguments[DNNL_ARG_WEIGHTS] = wrap(packed_, packed_ == plain_ ? arrays.kernel : at(scratch, packed_at_));
    const Rows ds = rows(s_.type, width, w.a);
    std::fill_n(w.c, slice.count * units, 0.0f);  // what comes back through s from the step after
    if (s_.cell == Cell::kLstm) {
      std::copy_n(arrays.d_cell + slice.first * units, slice.count * units, w.state);
    } else {
      std::fill_n(w.state, slice.count * units, 0.0f);
    }
    for (int64_t step = s_.steps; step-- > 0;) {
      for (int64_t example = 0; example < slice.count; ++example) {
        const int64_t batch = slice.first + example, at = batch * s_.steps + step;
        float* back = w.c + example * units;
        float* state = w.state + example * units;
        const float* dy = d_outputs.read(at, w.buffers[0]);
        float* dh = w.buffers[1];
        const bool direct = s_.cell == Cell::kGru;
        for (int64_t j = 0; j < units; ++j) dh[j] = dy[j] + back[j] + (direct ? state[j] : 0.0f);
        float* dp = d_projected.open(at, w.buffers[2]);
        if (s_.cell == Cell::kSimple) {
          simple_backward(units, dh, outputs.read(at, w.buffers[3]), dp);
        } else if (s_.cell == Cell::kGru) {
          const float* before = step ? outputs.read(at - 1, w.buffers[3]) : h0.read(batch, w.buffers[3]);
          float* through = ds.open(example, w.buffers[5]);
          gru_backward(units, dh, before, saved.read(at, w.buffers[4]), dp, through, state);
          ds.close(example, through);
        } else {
          const float* c = arrays.cells + at * units;
          lstm_backward(units, dh, step ? c - units : arrays.c0 + batch * units, c, saved.read(at, w.buffers[4]), state, dp);
        }
        d_projected.close(at, dp);
        if (!direct) std::memcpy(ds.row(example), d_projected.row(at), ds.row(1) - ds.row(0));
      }
      slice.product.execute(stream(), w.arguments);
    }
    const bool direct = s_.cell == Cell::kGru;
    float* d_h0 = arrays.d_h0 + slice.first * units;
    for (int64_t j = 0; j < slice.count * units; ++j) d_h0[j] = w.c[j] + (direct ? w.state[j] : 0.0f);
    if (s_.cell == Cell::kLstm) std::copy_n(w.state, slice.count * units, arrays.d_c0 + slice.first * units);
  });
}

Sequences read_sequences(const int64_t* values, size_t count) {
  if (count != 6) throw std::invalid_argument("a description of sequences of the wrong length");
  return {values[0] ? memory::data_type::bf16 : memory::data_type::f32, static_cast<Cell>(values[2]), values[3],
          values[4], values[5]};
}

std::shared_ptr<const Recurrence> recurrence(bool backward, const int64_t* values, size_t count) {
  static Cache<Recurrence>& cache = *new Cache<Recurrence>(128);
  Key key(values, values + count);
  key.push_back(backward);
  return cache.get(key, [&] { return std::make_shared<const Recurrence>(read_sequences(values, count), backward, values[1]); });
}

}  // namespace lamina
