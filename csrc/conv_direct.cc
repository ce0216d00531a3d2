#include "conv_direct.h"

#include <algorithm>
#include <unordered_map>

namespace lamina {
namespace {

using dnnl::memory;
using Desc = memory::desc;
using Dims = memory::dims;

constexpr double kSmallestSlice = 1e6;  // multiply-adds: below, waking another thread costs more than it saves

constexpr int64_t kSmallestReorder = 1 << 18;  // bytes, for the same reason

Desc channels_last(int64_t batch, const std::vector<int64_t>& space, int64_t channels, memory::data_type type) {
  Dims dims{batch, channels}, strides(space.size() + 2);
  dims.insert(dims.end(), space.begin(), space.end());
  strides[1] = 1;
  int64_t stride = channels;
  for (size_t axis = space.size(); axis-- > 0; stride *= space[axis]) strides[axis + 2] = stride;
  strides[0] = stride;
  return Desc(dims, type, strides);
}

std::vector<int64_t> space(const Geometry& g, int64_t Axis::*member) {
  std::vector<int64_t> sizes;
  for (const Axis& axis : g.axes) sizes.push_back(axis.*member);
  return sizes;
}

Desc x_desc(const Geometry& g) { return channels_last(g.batch, space(g, &Axis::size), g.in, g.type); }

Desc y_desc(const Geometry& g) { return channels_last(g.batch, space(g, &Axis::out), g.out, g.type); }

Dims w_dims(const Geometry& g) {
  Dims dims = g.groups == 1 ? Dims{g.out, g.in} : Dims{g.groups, g.out / g.groups, g.in / g.groups};
  for (const Axis& axis : g.axes) dims.push_back(axis.window);
  return dims;
}

// (*window, in / groups, out), the groups of out outermost.
Desc plain_w_desc(const Geometry& g) {
  Dims strides = g.groups == 1 ? Dims{1, g.out} : Dims{g.out / g.groups, 1, g.out};
  const size_t first = strides.size();
  strides.resize(first + g.axes.size());
  int64_t stride = g.in / g.groups * g.out;
  for (size_t axis = g.axes.size(); axis-- > 0; stride *= g.axes[axis].window) strides[first + axis] = stride;
  return Desc(w_dims(g), g.type, strides);
}

Desc bias_desc(const Geometry& g) { return Desc({g.out}, memory::data_type::f32, memory::format_tag::a); }

// The first axis can only be cut between the blocks of a layout.
int64_t first_block(const Desc& desc) {
  const Dims sizes = desc.get_inner_blks(), axes = desc.get_inner_idxs();
  int64_t block = 1;
  for (size_t i = 0; i < sizes.size(); ++i) block *= axes[i] == 0 ? sizes[i] : 1;
  return block;
}

// What `describe` makes. oneDNN lists its kernels for depthwise convolutions behind one for strides, which is up to 20
// times slower on them.
template <typename Describe>
auto depthwise_first(const Geometry& g, const Describe& describe) {
  if (g.groups == g.in && g.groups == g.out) {
    auto description = describe();
    do {
      if (std::string(description.impl_info_str()).find("dw") != std::string::npos) return description;
    } while (description.next_impl());
  }
  return describe();  // a new one: its copies share what next_impl changes
}

struct Made {
  dnnl::primitive primitive;
  Desc w, scratchpad;
  std::string name;
};

// `w`: the layout that another slice's kernel has chosen, or an empty one.
Made make(const Geometry& g, Direction direction, const Desc& w, Epilogue epilogue) {
  const auto x = x_desc(g), y = y_desc(g);
  const auto wanted = w.is_zero() ? Desc(w_dims(g), g.type, memory::format_tag::any) : w;
  const auto strides = space(g, &Axis::stride), low = space(g, &Axis::low), high = space(g, &Axis::high);
  auto dilation = space(g, &Axis::dilation);
  for (auto& spacing : dilation) --spacing;  // oneDNN counts the gaps
  const auto direct = dnnl::algorithm::convolution_direct;
  auto attributes = user_scratchpad();
  const auto made = [](auto primitive, const auto& description, const Desc& weights) {
    return Made{primitive, weights, description.scratchpad_desc(), description.impl_info_str()};
  };
  const auto hint_w = direction == Direction::kForward ? wanted : Desc(w_dims(g), g.type, memory::format_tag::any);
  if (epilogue != Epilogue::kNone) {
    dnnl::post_ops after;
    if (epilogue == Epilogue::kBiasRelu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    if (epilogue == Epilogue::kBiasRelu6) after.append_eltwise(dnnl::algorithm::eltwise_clip, 0, 6);
    attributes.set_post_ops(after);
    const dnnl::convolution_forward::primitive_desc with_bias(engine(), dnnl::prop_kind::forward_inference, direct, x,
                                                              hint_w, bias_desc(g), y, strides, dilation, low, high,
                                                              attributes);
    return made(dnnl::convolution_forward(with_bias), with_bias, with_bias.weights_desc());
  }
  dnnl::convolution_forward::primitive_desc forward(engine(), dnnl::prop_kind::forward_training, direct, x, hint_w, y,
                                                    strides, dilation, low, high, attributes);
  if (direction == Direction::kForward) {
    return made(dnnl::convolution_forward(forward), forward, forward.weights_desc());
  }
  if (direction == Direction::kData) {
    const auto data = depthwise_first(g, [&] {
      return dnnl::convolution_backward_data::primitive_desc(engine(), direct, x, wanted, y, strides, dilation, low, high,
                                                             forward, attributes);
    });
    return made(dnnl::convolution_backward_data(data), data, data.weights_desc());
  }
  // Summed in float32 whatever the operands are.
  const auto sums = w.is_zero() ? Desc(w_dims(g), memory::data_type::f32, memory::format_tag::any) : w;
  dnnl::convolution_backward_weights::primitive_desc weights(engine(), direct, x, sums, y, strides, dilation, low, high,
                                                             forward, attributes);
  return made(dnnl::convolution_backward_weights(weights), weights, weights.diff_weights_desc());
}

}  // namespace

DirectConvolution::DirectConvolution(const Geometry& g, Direction direction, int64_t slices, Epilogue epilogue)
    : direction_(direction), epilogue_(epilogue), bias_(bias_desc(g)), plain_w_(plain_w_desc(g)) {
  const SingleThread single;
  const double work = static_cast<double>(g.y_elements()) * g.w_elements() / g.out;
  const int64_t useful = std::clamp<int64_t>(static_cast<int64_t>(work / kSmallestSlice), 1, std::max<int64_t>(slices, 1));
  const int64_t by_batch = std::min(useful, g.batch);
  // Few examples: a forward pass is also cut along the first axis of space.
  const int64_t rows = direction == Direction::kForward ? std::min((useful + by_batch - 1) / by_batch, g.axes[0].out) : 1;
  const int64_t parts = rows == 1 ? by_batch : g.batch;  // with rows, every part is one example
  const int64_t x_example = g.bytes(g.x_elements() / g.batch), y_example = g.bytes(g.y_elements() / g.batch);
  const int64_t x_row = x_example / g.axes[0].size, y_row = y_example / g.axes[0].out;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = g.batch * part / parts, last = g.batch * (part + 1) / parts;
    for (int64_t row = 0; row < rows; ++row) {
      Geometry slice = g;
      slice.batch = last - first;
      Axis& axis = slice.axes[0];
      const int64_t top = axis.out * row / rows, bottom = axis.out * (row + 1) / rows;
      const int64_t start = top * axis.stride - axis.low;
      const int64_t end = (bottom - 1) * axis.stride - axis.low + (axis.window - 1) * axis.dilation + 1;
      const int64_t inside = std::clamp<int64_t>(start, 0, axis.size);
      if (rows > 1) {
        const int64_t size = std::min(end, axis.size) - inside;
        if (size < 1) throw dnnl::error(dnnl_unimplemented, "a slice that lies in the padding alone");
        axis = {size, bottom - top, axis.window, axis.stride, std::max<int64_t>(-start, 0),
                std::max<int64_t>(end - axis.size, 0), axis.dilation};
      }
      add(slice, first * x_example + (rows > 1 ? inside * x_row : 0), first * y_example + (rows > 1 ? top * y_row : 0));
    }
  }
  if (w_ != plain_w_) {
    add_reorders(useful);
    if (direction != Direction::kWeights) {
      w_at_ = scratch_bytes_;
      packed_bytes_ = w_.get_size();
      scratch_bytes_ += aligned(packed_bytes_);
    }
  }
}

void DirectConvolution::add_reorders(int64_t slices) {
  const bool from_plain = direction_ != Direction::kWeights;
  const Dims whole = w_.get_dims();
  const int64_t block = first_block(w_), blocks = std::max<int64_t>(whole[0] / block, 1);
  const int64_t parts = std::clamp<int64_t>(w_.get_size() / kSmallestReorder, 1, std::min(slices, blocks));
  for (int64_t part = 0; part < parts; ++part) {
    Dims dims = whole, offsets(whole.size(), 0);
    offsets[0] = blocks * part / parts * block;
    dims[0] = (part + 1 == parts ? whole[0] : blocks * (part + 1) / parts * block) - offsets[0];
    const Desc plain = parts == 1 ? plain_w_ : plain_w_.submemory_desc(dims, offsets);
    const Desc packed = parts == 1 ? w_ : w_.submemory_desc(dims, offsets);
    const Desc &from = from_plain ? plain : packed, &to = from_plain ? packed : plain;
    const dnnl::reorder::primitive_desc description(engine(), from, engine(), to, user_scratchpad());
    reorders_.push_back({dnnl::reorder(description), from, to, description.scratchpad_desc(), scratch_bytes_});
    scratch_bytes_ += aligned(description.scratchpad_desc().get_size());
  }
}

void DirectConvolution::reorder(const Schedule& schedule, const void* from, void* to, void* scratch) const {
  parallel_for(schedule, static_cast<int64_t>(reorders_.size()), [&](int64_t i) {
    const SingleThread single;
    const Reorder& part = reorders_[i];
    part.primitive.execute(stream(), {{DNNL_ARG_FROM, wrap(part.from, from)},
                                      {DNNL_ARG_TO, wrap(part.to, to)},
                                      {DNNL_ARG_SCRATCHPAD, wrap(part.scratchpad, at(scratch, part.at))}});
  });
}

void DirectConvolution::add(const Geometry& part, int64_t x_offset, int64_t y_offset) {
  const Made made = make(part, direction_, w_, epilogue_);
  if (slices_.empty()) {
    w_ = made.w;
    name_ = made.name;
  }
  if (made.w != w_ || made.name.find("ref") != std::string::npos) {
    throw dnnl::error(dnnl_unimplemented, "oneDNN has no fast kernel for this convolution");
  }
  slices_.push_back({made.primitive, x_desc(part), y_desc(part), made.scratchpad, x_offset, y_offset, scratch_bytes_, 0});
  scratch_bytes_ += aligned(made.scratchpad.get_size());
  if (direction_ == Direction::kWeights) {
    slices_.back().partial_at = scratch_bytes_;
    scratch_bytes_ += aligned(w_.get_size());
  }
}

void DirectConvolution::pack(const Schedule& schedule, const void* w, void* packed, void* scratch) const {
  reorder(schedule, w, packed, scratch);
}

void DirectConvolution::run(const Schedule& schedule, const void* a, const void* b, void* result, void* scratch,
                            const float* bias, bool packed) const {
  if (direction_ == Direction::kWeights) return run_weights(schedule, a, b, result, scratch);
  const void* w = b;
  if (packed_bytes_ && !packed) {
    pack(schedule, b, at(scratch, w_at_), scratch);
    w = at(scratch, w_at_);
  }
  const bool forward = direction_ == Direction::kForward;
  parallel_for(schedule, static_cast<int64_t>(slices_.size()), [&](int64_t i) {
    const SingleThread single;
    const Slice& slice = slices_[i];
    const char* source = static_cast<const char*>(a) + (forward ? slice.x_offset : slice.y_offset);
    char* target = at(result, forward ? slice.y_offset : slice.x_offset);
    std::unordered_map<int, memory> arguments{
        {forward ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, wrap(forward ? slice.x : slice.y, source)},
        {DNNL_ARG_WEIGHTS, wrap(w_, w)},
        {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, wrap(forward ? slice.y : slice.x, target)},
        {DNNL_ARG_SCRATCHPAD, wrap(slice.scratchpad, at(scratch, slice.scratchpad_at))}};
    if (epilogue_ != Epilogue::kNone) arguments.emplace(DNNL_ARG_BIAS, wrap(bias_, bias));
    slice.primitive.execute(stream(), arguments);
  });
}

void DirectConvolution::run_weights(const Schedule& schedule, const void* x, const void* dy, void* dw, void* scratch) const {
  const bool direct = w_ == plain_w_;
  const auto partial = [&](const Slice& slice) {
    return direct && &slice == &slices_[0] ? static_cast<char*>(dw) : at(scratch, slice.partial_at);
  };
  const int64_t count = slices_.size();
  parallel_for(schedule, count, [&](int64_t i) {
    const SingleThread single;
    const Slice& slice = slices_[i];
    slice.primitive.execute(stream(), {{DNNL_ARG_SRC, wrap(slice.x, static_cast<const char*>(x) + slice.x_offset)},
                                       {DNNL_ARG_DIFF_DST, wrap(slice.y, static_cast<const char*>(dy) + slice.y_offset)},
                                       {DNNL_ARG_DIFF_WEIGHTS, wrap(w_, partial(slice))},
                                       {DNNL_ARG_SCRATCHPAD, wrap(slice.scratchpad, at(scratch, slice.scratchpad_at))}});
  });
  float* sum = reinterpret_cast<float*>(partial(slices_[0]));
  const int64_t floats = w_.get_size() / sizeof(float);
  const int64_t pieces = count == 1 || floats < 1 << 16 ? 1 : count;
  if (count > 1) {
    parallel_for(schedule, pieces, [&](int64_t piece) {
      const int64_t first = floats * piece / pieces, last = floats * (piece + 1) / pieces;
      for (int64_t i = 1; i < count; ++i) {
        const float* more = reinterpret_cast<const float*>(partial(slices_[i]));
        for (int64_t k = first; k < last; ++k) sum[k] += more[k];
      }
    });
  }
  if (!direct) reorder(schedule, sum, dw, scratch);
}

}  // namespace lamina
