"""The bank of problems for local terms: each as a user writes it, and by hand."""

from functools import partial

from . import image_terms as images
from . import mesh_terms as meshes

CASES = {
    "TV": images.total_variation,
    "TV, map": partial(images.total_variation, weight_map=True),
    "anisotropic TV": images.anisotropic,
    "anisotropic TV, map": partial(images.anisotropic, weight_map=True),
    "Huber TV": images.huber,
    "Huber TV, map": partial(images.huber, weight_map=True),
    "second order, two fields": images.second_order,
    "experts": images.experts,
    "learned experts": images.learned_experts,
    "P1 diffusion": meshes.diffusion,
    "truss": meshes.truss,
    "logistic regression": meshes.logistic_regression,
    "convection": meshes.convection,
}
