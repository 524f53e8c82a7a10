"""An ensemble under `torch.func.vmap`: all runs of one batch size as one stacked network.

After docs.pytorch.org/tutorials/intermediate/ensembling.html (`stack_module_state`, `functional_call`, `vmap`), with
Adam written out over the stacked parameters, since each run has its own learning rate. Runs that see the same batches
share them; for others each has its own. Batch norm keeps its running statistics, as stacked buffers.
"""

from __future__ import annotations

import copy
import itertools
import time
from typing import Any

import torch
from contract import EVALUATION_BATCH, Images, Reached, Task, epoch_order, load_images, make_model, serve
from hand_loop import FoldData, to_floats
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

BETAS, EPSILON = (0.9, 0.999), 1e-8


class StackedAdam:
    """Adam over parameters whose first dimension is the run, each run with its own learning rate."""

    def __init__(self, parameters: list[Tensor], rates: list[float]) -> None:
        self.parameters = parameters
        device = parameters[0].device
        self.rates = [torch.tensor(rates, device=device).view(-1, *[1] * (p.dim() - 1)) for p in parameters]
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters]
        self.steps = 0

    @torch.no_grad()
    def step(self, gradients: tuple[Tensor, ...]) -> None:
        self.steps += 1
        first, second = (1 - beta**self.steps for beta in BETAS)
        state = zip(self.parameters, gradients, self.rates, self.means, self.squares, strict=True)
        for parameter, gradient, rate, mean, square in state:
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            parameter.sub_(rate * (mean / first) / ((square / second).sqrt_().add_(EPSILON)))


class Ensemble:
    """K networks as one."""

    def __init__(self, task: Task, images: Images, runs: list[dict[str, Any]]) -> None:
        networks = [make_model(task, images, run["seed"]).to(task.device) for run in runs]
        self.parameters, self.buffers = stack_module_state(networks)
        self.skeleton = copy.deepcopy(networks[0]).to("meta")

    def logits(self, images: Tensor, *, shared: bool) -> Tensor:
        """Map images (N, C, H, W), or (K, N, C, H, W) where they are not shared, to (K, N, classes)."""

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], batch: Tensor) -> Tensor:
            return functional_call(self.skeleton, (parameters, buffers), (batch,))

        # Dropout draws for each run, as it would alone.
        mapped = vmap(one, in_dims=(0, 0, None if shared else 0), randomness="different")
        return mapped(self.parameters, self.buffers, images)


def train_group(task: Task, images: Images, parts: tuple[FoldData, FoldData], runs: list[dict[str, Any]]) -> list[dict]:
    train, held_out = parts
    ensemble = Ensemble(task, images, runs)
    parameters = list(ensemble.parameters.values())
    optimizer = StackedAdam(parameters, [run["lr"] for run in runs])
    shared = len({(run["seed"], run["shuffle"]) for run in runs}) == 1
    count, batch_size = len(train.labels), runs[0]["batch_size"]
    for epoch in range(1, task.epochs + 1):
        orders = torch.stack([epoch_order(count, run, epoch) for run in (runs[:1] if shared else runs)])
        orders = orders.to(train.labels.device)
        loss_sum = torch.zeros(len(runs), device=train.labels.device)
        correct = torch.zeros(len(runs), dtype=torch.int64, device=train.labels.device)
        ensemble.skeleton.train()
        for start in range(0, count, batch_size):
            chosen = orders[:, start : start + batch_size]
            labels = train.labels[chosen].expand(len(runs), -1)
            logits = ensemble.logits(train.images[chosen[0] if shared else chosen], shared=shared)
            losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(len(runs), -1)
            optimizer.step(torch.autograd.grad(losses.mean(1).sum(), parameters))
            loss_sum += losses.detach().sum(1)
            correct += (logits.detach().argmax(2) == labels).sum(1)
        held_out_accuracies = measure_accuracies(ensemble, held_out, len(runs))
    return [
        {**run, "loss": loss / count, "accuracy": right / count, "val_accuracy": accuracy}
        for run, loss, right, accuracy in zip(
            runs, loss_sum.tolist(), correct.tolist(), held_out_accuracies, strict=True
        )
    ]


@torch.no_grad()
def measure_accuracies(ensemble: Ensemble, part: FoldData, count: int) -> list[float]:
    ensemble.skeleton.eval()
    correct = torch.zeros(count, dtype=torch.int64, device=part.labels.device)
    pairs = zip(part.images.split(EVALUATION_BATCH), part.labels.split(EVALUATION_BATCH), strict=True)
    for images, labels in pairs:
        correct += (ensemble.logits(images, shared=True).argmax(2) == labels).sum(1)
    return [right / len(part.labels) for right in correct.tolist()]


def train(task: Task) -> Reached:
    images = load_images(task.images)
    parts = to_floats(images, task.device)
    began = time.time()
    rows: list[dict[str, Any]] = []
    for _, runs in itertools.groupby(sorted(task.runs, key=batch_size_of), batch_size_of):
        rows += train_group(task, images, parts, list(runs))
    return Reached(rows, began)


def batch_size_of(run: dict[str, Any]) -> int:
    return run["batch_size"]


if __name__ == "__main__":
    serve(train)
