"""Pictures that explain: each function draws one figure, `save` turns it into a file's bytes."""

from __future__ import annotations

from cvcore.pictures.augment import AugmentedRow, FilledImage, draw_augmentation
from cvcore.pictures.condensation import Way, ways
from cvcore.pictures.curves import draw_curves, fine_tune_start
from cvcore.pictures.evaluation import draw_evaluation
from cvcore.pictures.feature_maps import Heat, LayerMaps, centre, draw_features, liveliest
from cvcore.pictures.field import draw_field
from cvcore.pictures.filtering import Map, Stages, Window, circle, run_stages
from cvcore.pictures.gallery import draw_gallery
from cvcore.pictures.kernels import draw_filtered, draw_kernels
from cvcore.pictures.style import FORMATS, save
from cvcore.pictures.window import draw_window

__all__ = [
    "FORMATS",
    "AugmentedRow",
    "FilledImage",
    "Heat",
    "LayerMaps",
    "Map",
    "Stages",
    "Way",
    "Window",
    "centre",
    "circle",
    "draw_augmentation",
    "draw_curves",
    "draw_evaluation",
    "draw_features",
    "draw_field",
    "draw_filtered",
    "draw_gallery",
    "draw_kernels",
    "draw_window",
    "fine_tune_start",
    "liveliest",
    "run_stages",
    "save",
    "ways",
]
