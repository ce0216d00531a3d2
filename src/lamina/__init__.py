"""Lamina: neural networks on JAX, from data to a trained and honestly measured model.

    import lamina as lm

    net = lm.Sequential(lm.Conv(32, 3), lm.relu, lm.MaxPool(2), lm.Flatten(), lm.Dense(10))
    run = lm.fit(net, (images, labels))
    run.model.predict(new_images)

Every name is loaded when it is first used, so that ``import lamina`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina import (
        data,
        errors,
        explain,
        initializers,
        kernels,
        layers,
        losses,
        metrics,
        optim,
        transfer,
        unsupervised,
        zoo,
    )
    from lamina.importing import import_model
    from lamina.layers import *  # noqa: F403
    from lamina.model import Model, load
    from lamina.summarize import summary
    from lamina.through_time import state_gradients
    from lamina.train import Run, find_learning_rate, fit
    from lamina.transfer import fine_tune

    __version__: str

__all__ = [  # noqa: F405
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
    "Model",
    "NearestNeighbors",
    "PRelu",
    "Parallel",
    "Pretrained",
    "Relu",
    "Relu6",
    "Reshape",
    "Residual",
    "Reversible",
    "Run",
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
    "data",
    "elu",
    "errors",
    "explain",
    "find_learning_rate",
    "fine_tune",
    "fit",
    "gelu",
    "import_model",
    "initializers",
    "kernels",
    "layers",
    "leaky_relu",
    "linear",
    "load",
    "losses",
    "metrics",
    "optim",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "state_gradients",
    "step",
    "summary",
    "tanh",
    "transfer",
    "unsupervised",
    "zoo",
]

_MODULES = frozenset(
    {
        *("data", "errors", "explain", "initializers", "kernels", "layers", "losses", "metrics", "optim"),
        *("transfer", "unsupervised", "zoo"),
    }
)
# Where a name comes from; the others come from lamina.layers.
_HOMES = {
    "Model": "lamina.model",
    "Run": "lamina.train",
    "find_learning_rate": "lamina.train",
    "fine_tune": "lamina.transfer",
    "fit": "lamina.train",
    "import_model": "lamina.importing",
    "load": "lamina.model",
    "state_gradients": "lamina.through_time",
    "summary": "lamina.summarize",
}

if not TYPE_CHECKING:  # type checkers are told the names above, and would take any name from this function

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            value = _version()
        elif name in _MODULES:
            value = importlib.import_module(f"lamina.{name}")
        elif name in __all__:
            value = getattr(importlib.import_module(_HOMES.get(name, "lamina.layers")), name)
        else:
            raise AttributeError(f"module 'lamina' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("lamina")
    except metadata.PackageNotFoundError:  # used from its sources, without having been installed
        return "0+source"
