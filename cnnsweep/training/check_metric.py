"""Check of a metric before training: on random logits, with the shapes of training."""

import torch

from cnnsweep.errors import UsageError
from cnnsweep.metrics.base import make_metric
from cnnsweep.types import Choice


def check_metric(choice: Choice, classes: int) -> None:
    """Try a metric on random logits of three runs.

    Raises:
        UsageError: it raises, returns another shape, or mixes the runs.
    """
    metric, place = make_metric(choice), f"metric {choice.name}"
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 8, classes, generator=random)
    targets = torch.randint(0, classes, (3, 8), generator=random)
    try:
        sums = metric.update(logits, targets)
        alone = [metric.update(logits[k : k + 1], targets[k : k + 1]) for k in range(3)]
        values = metric.compute(sums + sums, 16)
        has_right_shape = sums.shape[0] == 3 and values.shape == (3,)
    except Exception as error:
        raise UsageError(f"{place}: {type(error).__name__}: {error}") from error
    if not has_right_shape:
        found = f"sums {tuple(sums.shape)} and values {tuple(values.shape)}"
        raise UsageError(f"{place}: returned {found} for 3 runs, allowed are sums (3, ...) and values (3,)")
    if not torch.allclose(sums.double(), torch.cat(alone).double(), rtol=1e-5, atol=1e-6, equal_nan=True):
        raise UsageError(f"{place}: the sums of a run depend on other runs of the batch; compute along the last axes")
