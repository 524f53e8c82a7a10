"""The names that a sweep file may use, as plain text, so that a file is checked without importing torch."""

from collections.abc import Mapping

OPTIMIZERS = ("adam", "sgd", "adamw", "rmsprop")

# What each optimizer takes beside lr and weight_decay, which all of them take.
OPTIMIZER_HYPERPARAMETERS: Mapping[str, tuple[str, ...]] = {
    "adam": ("beta1", "beta2", "eps"),
    "sgd": ("momentum", "nesterov"),
    "adamw": ("beta1", "beta2", "eps"),
    "rmsprop": ("momentum", "eps"),
}

DEFAULT_WEIGHT_DECAY: Mapping[str, float] = {"adam": 0.0, "sgd": 0.0, "adamw": 0.01, "rmsprop": 0.0}  # as in torch

SCHEDULES = ("constant", "cosine", "one_cycle", "step")

PRECISIONS = ("fp32", "bf16", "fp64")

SEARCHES = ("grid", "random", "sobol", "tpe", "gp", "cmaes")

EARLY_STOPS = ("halving", "hyperband", "median", "patience", "threshold")
