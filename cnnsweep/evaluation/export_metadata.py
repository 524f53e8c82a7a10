"""Metadata of an exported file: input, output and origin."""

from __future__ import annotations

import json

from cnnsweep.evaluation.model_card import Description
from cnnsweep.evaluation.thresholds import Thresholds

INPUT, OUTPUT = "images", "logits"


def describe_export(about: Description, thresholds: Thresholds | None = None, *, takes_pixels: bool) -> dict[str, str]:
    """Return an exported file's metadata as texts: input, output and origin.

    Args:
        thresholds: of each label; None for a model of one label an image.
    """
    channels, height, width = about.image_shape
    mean, std = json.dumps(list(about.pixels.mean)), json.dumps(list(about.pixels.std))
    pixels = "uint8, 0 to 255, as stored; normalised inside"
    normalised = "float32, (pixel / 255 - mean) / std for each channel"
    return {
        "format": "pt",  # expected by other readers of safetensors
        "cnnsweep_run": about.run,
        "cnnsweep_epoch": str(about.epoch),
        "cnnsweep_model": json.dumps({"name": about.model.name, "arguments": dict(about.model.arguments)}),
        "input": f"{INPUT}: (N, {channels}, {height}, {width}), {pixels if takes_pixels else normalised}",
        "layout": "NCHW, RGB" if channels == 3 else "NCHW",
        "mean": mean,
        "std": std,
        "output": f"{OUTPUT}: (N, {len(about.classes)}), float32; {_activation(about)}",
        "classes": json.dumps(list(about.classes)),
        **({} if thresholds is None else {"labels": "several", "thresholds": json.dumps(list(thresholds.values))}),
    }


def _activation(about: Description) -> str:
    if about.is_multi_label:
        return "sigmoid makes a probability of each, and an image has the labels above their thresholds"
    return "softmax makes probabilities of them"
