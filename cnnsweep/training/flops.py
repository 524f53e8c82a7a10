"""Floating-point operations of a training step, and the peak rate of the CPU."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_SIDE = 768  # side of a square matrix: large enough to keep every core busy, and done in milliseconds
_PRODUCTS, _FEWEST_PRODUCTS, _LIMIT_S = 6, 2, 0.05


def flop_of_step(model: nn.Module, images: Tensor) -> int:
    """Return the floating-point operations of convolutions and linear layers in training on these images (N, …).

    It counts the forward pass, the weights' gradients and, if an earlier layer needs them, the inputs' gradients: two
    operations per multiplication. Other operations are not counted, so the number is rather low.

    `torch.utils.flop_counter` counts more, but takes 1.6 s to be imported and used for the first time.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        weight, x = module.weight, inputs[0] if inputs else None
        if not isinstance(weight, Tensor) or not isinstance(x, Tensor) or not isinstance(output, Tensor):
            return  # called in an unusual way, which only lowers the number
        positions = x if isinstance(module, _ConvTransposeNd) else output
        products = 1 + weight.requires_grad + x.requires_grad
        total += 2 * products * positions.numel() * weight[0].numel()

    counted = [module for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)]
    hooks = [module.register_forward_hook(count) for module in counted]
    try:
        with torch.enable_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def matrix_product_rate(dtype: torch.dtype) -> float:
    """Return the floating-point operations per second of a large matrix product on the CPU."""
    matrix = torch.rand(_SIDE, _SIDE, dtype=dtype)
    deadline = time.perf_counter() + _LIMIT_S
    seconds: list[float] = []
    while len(seconds) < _FEWEST_PRODUCTS or (len(seconds) < _PRODUCTS and time.perf_counter() < deadline):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return 2 * _SIDE**3 / min(seconds)
