"""Loss."""

from typing import ClassVar

from cnnsweep.metrics.base import Metric


class MeanLoss(Metric, name="loss"):
    """Mean loss over the images: of each run its own, as its learner measures it."""

    greater_is_better: ClassVar[bool] = False
    is_measured_by_learner: ClassVar[bool] = True
