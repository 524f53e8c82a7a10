"""Choice between a run's weights and their averages: those that are best on the held-out images."""

from __future__ import annotations

from collections.abc import Mapping

from cnnsweep.metrics.names import LOSS, is_on_validation, on_validation
from cnnsweep.metrics.objective import Objective

Metrics = Mapping[str, float | None]


def best_weights(measured: Mapping[str, Metrics], objective: Objective) -> str:
    """Return the name of the weights that are best by the deciding metric, on held-out images.

    Equal accuracies are decided by their losses, and equal weights by their order. Without held-out images nothing
    tells them apart: then the last ones, which the sweep file asks for, count.

    Args:
        measured: the metrics on held-out images, by the names of the weights, the plain ones first.
    """
    names = list(measured)
    if not any(measured.values()):
        return names[-1]
    metric = objective.metric if is_on_validation(objective.metric) else on_validation(objective.metric)
    values = [measured[name].get(metric) for name in names]
    losses = [measured[name].get(on_validation(LOSS)) for name in names]
    return names[objective.rank(values, losses)[0]]
