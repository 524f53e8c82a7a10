"""Optimizers of torch that are built from their fields alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from cnnsweep.optimizers.base import Optimizer, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class TorchOptimizer(Optimizer):
    """Base of torch's optimizers without a kernel here: they step by operations over lists of tensors.

    Attributes:
        of_torch: the name of the class in `torch.optim`.
        foreach: its argument; None leaves the choice to torch.
    """

    of_torch: ClassVar[str]
    foreach: ClassVar[bool | None] = True

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's optimizer."""
        from torch import optim

        del device
        kind: Any = without_compiler(getattr(optim, self.of_torch))
        built: torch.optim.Optimizer = kind(parameters, lr=lr, foreach=self.foreach, **self.torch_arguments())
        return built

    def torch_arguments(self) -> dict[str, Any]:
        """Return the arguments of torch's class: the fields, of which beta1 and beta2 are `betas`."""
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in self.model_dump().items()}
        if "beta1" in values:
            values["betas"] = (values.pop("beta1"), values.pop("beta2"))
        return values
