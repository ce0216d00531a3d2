"""See what a model learned: its filters, its feature maps, and what in a picture its answer depends on."""

from lamina.explain.activations import feature_maps, grad_cam, layers_with_maps
from lamina.explain.covering import occlusion
from lamina.explain.gradients import Attribution, integrated_gradients, saliency
from lamina.explain.weights import filters
from lamina.explain.writer import Explanation, write

__all__ = [
    "Attribution",
    "Explanation",
    "feature_maps",
    "filters",
    "grad_cam",
    "integrated_gradients",
    "layers_with_maps",
    "occlusion",
    "saliency",
    "write",
]
