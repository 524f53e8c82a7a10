"""Values shared by the layers: frozen, without torch, so that planning and reports start at once."""

from cnnsweep.types.choices import (
    BALANCED,
    CONSTANT,
    CROSS_ENTROPY,
    NATURAL,
    UNWEIGHTED,
    Choice,
    ClassWeights,
    DatasetChoice,
    ModelChoice,
    Normalization,
)
from cnnsweep.types.labels import PARTS, LabelCounts, PartCounts, named_classes
from cnnsweep.types.records import (
    Decision,
    EpochRecord,
    EpochReport,
    FailureKind,
    PruneDecision,
    RunOutcome,
    RunStatus,
    end_words,
)
from cnnsweep.types.runs import Hyperparameters, Run, RunGroup, Trajectory, even_sizes

__all__ = [
    "BALANCED",
    "CONSTANT",
    "CROSS_ENTROPY",
    "NATURAL",
    "PARTS",
    "UNWEIGHTED",
    "Choice",
    "ClassWeights",
    "DatasetChoice",
    "Decision",
    "EpochRecord",
    "EpochReport",
    "FailureKind",
    "Hyperparameters",
    "LabelCounts",
    "ModelChoice",
    "Normalization",
    "PartCounts",
    "PruneDecision",
    "Run",
    "RunGroup",
    "RunOutcome",
    "RunStatus",
    "Trajectory",
    "end_words",
    "even_sizes",
    "named_classes",
]
