"""What networks are made of."""

from lamina.layers.activations import (
    Activation,
    Elu,
    Gelu,
    LeakyRelu,
    Linear,
    Maxout,
    PRelu,
    Relu,
    Relu6,
    Selu,
    Sigmoid,
    Sign,
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Step,
    Tanh,
    elu,
    gelu,
    leaky_relu,
    linear,
    relu,
    relu6,
    selu,
    sigmoid,
    sign,
    silu,
    softmax,
    softplus,
    softsign,
    step,
    tanh,
)
from lamina.layers.autoencoder import Autoencoder, GaussianCode
from lamina.layers.base import Context, Function, Layer, Tape
from lamina.layers.bidirectional import Bidirectional
from lamina.layers.combine import Auxiliary, Merge, Parallel, Residual, TimeDistributed
from lamina.layers.conv import Conv, ConvTranspose
from lamina.layers.dense import Dense
from lamina.layers.dropout import Dropout
from lamina.layers.embedding import Embedding
from lamina.layers.foreign import EquinoxLayer, FlaxLayer
from lamina.layers.graph import Graph
from lamina.layers.masked import Masked
from lamina.layers.neighbors import NearestNeighbors
from lamina.layers.ngrams import BagOfNGrams
from lamina.layers.noise import GaussianNoise, MaskingNoise
from lamina.layers.norm import BatchNorm, LayerNorm, LocalResponseNorm
from lamina.layers.pool import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from lamina.layers.pretrained import Pretrained
from lamina.layers.recurrent import GRU, LSTM, SimpleRNN
from lamina.layers.sequential import Sequential
from lamina.layers.series import Reversible
from lamina.layers.shape import Flatten, Reshape, Subsample
from lamina.layers.sparsity import ActivityKL, ActivityL1
from lamina.layers.tied import Tied

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "ActivityKL",
    "ActivityL1",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Autoencoder",
    "Auxiliary",
    "AvgPool",
    "BagOfNGrams",
    "BatchNorm",
    "Bidirectional",
    "Context",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Elu",
    "Embedding",
    "EquinoxLayer",
    "Flatten",
    "FlaxLayer",
    "Function",
    "GaussianCode",
    "GaussianNoise",
    "Gelu",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Graph",
    "Layer",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "LocalResponseNorm",
    "Masked",
    "MaskingNoise",
    "MaxPool",
    "Maxout",
    "Merge",
    "NearestNeighbors",
    "PRelu",
    "Parallel",
    "Pretrained",
    "Relu",
    "Relu6",
    "Reshape",
    "Residual",
    "Reversible",
    "Selu",
    "Sequential",
    "Sigmoid",
    "Sign",
    "Silu",
    "SimpleRNN",
    "Softmax",
    "Softplus",
    "Softsign",
    "Step",
    "Subsample",
    "Tanh",
    "Tape",
    "Tied",
    "TimeDistributed",
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "tanh",
]
