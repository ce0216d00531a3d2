"""Trained networks that only answer: one class a library, each with a single batch of pictures as its input."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from data_and_weights import trained_weights
from networks import Network

__all__ = ["KerasEngine", "LaminaEngine", "OnnxEngine", "TorchEngine"]


class LaminaEngine:
    """`lamina.model.Model`, as one gets it from `lamina.fit` or `lamina.load`."""

    def load(self, network: Network, x: np.ndarray, seed: int) -> None:
        import jax

        import lamina as lm
        from lamina.data.array_preprocessing import ArrayPreprocessing
        from lamina.data.base import ArraySplit, ClassTarget
        from lamina.kernels import native
        from workers.lamina_trainer import made, placed

        built = made(network.layers)
        params, state = built.init(jax.random.key(seed), network.input_shape)
        placed(trained_weights(network, seed), params, state)
        target = ClassTarget(tuple(map(str, range(network.classes))))
        self.model = lm.model.Model(built, params, state, ArrayPreprocessing(network.input_shape), target)
        self.split = ArraySplit(x, np.zeros(len(x), np.int32))
        self.remark = f"Lamina: {native.native().reason}"

    def run(self) -> np.ndarray:
        """The logits of the batch."""
        return self.model.outputs(self.split, len(self.split))


class TorchEngine:
    """PyTorch, channels-last; compiled with its weights as constants, as it advises for inference."""

    remark = ""

    def __init__(self, threads: int, *, compiled: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self.compiled = compiled

    def load(self, network: Network, x: np.ndarray, seed: int) -> None:
        import torch

        self.model = torch_model(network, seed).to(memory_format=torch.channels_last)
        if self.compiled:
            import torch._inductor.config

            torch._inductor.config.freezing = True
            self.model = torch.compile(self.model)
        self.x = torch.from_numpy(x).permute(0, 3, 1, 2)

    def run(self) -> np.ndarray:
        """The logits of the batch."""
        import torch

        # Weights become constants only where no gradient could ask for them.
        with torch.no_grad() if self.compiled else torch.inference_mode():
            return self.model(self.x).numpy()


class KerasEngine:
    """Keras' `predict_on_batch` on the backend that KERAS_BACKEND names; on TensorFlow with or without XLA."""

    remark = ""

    def __init__(self, threads: int) -> None:
        from workers.keras_trainer import KerasTrainer

        self.trainer = KerasTrainer(threads, fit=False)

    def load(self, network: Network, x: np.ndarray, seed: int) -> None:
        from workers.keras_trainer import built, place

        self.x = x
        timed = []
        for variant in self.trainer.variants(network):
            model = built(network)
            place(model, network, trained_weights(network, seed))
            model.compile(**variant)
            model.predict_on_batch(x)
            began = time.perf_counter()
            model.predict_on_batch(x)
            timed.append((time.perf_counter() - began, len(timed), model))
        self.model = min(timed)[-1]

    def run(self) -> np.ndarray:
        """The logits of the batch."""
        return np.asarray(self.model.predict_on_batch(self.x))


class OnnxEngine:
    """ONNX Runtime on PyTorch's own export."""

    remark = ""

    def __init__(self, threads: int) -> None:
        import onnxruntime

        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1

    def load(self, network: Network, x: np.ndarray, seed: int) -> None:
        import onnxruntime
        import torch

        self.x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(scratch, "network.onnx")
            torch.onnx.export(
                torch_model(network, seed), (torch.from_numpy(self.x),), str(path), input_names=["x"], dynamo=False
            )
            self.session = onnxruntime.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])

    def run(self) -> np.ndarray:
        """The logits of the batch."""
        answer: np.ndarray = self.session.run(None, {"x": self.x})[0]
        return answer


def torch_model(network: Network, seed: int) -> Any:
    """The network in PyTorch, with its weights, for evaluation."""
    from workers.torch_trainer import load, made

    model = made(network.layers, network.input_shape)
    load(model, network, trained_weights(network, seed))
    return model.eval()
