"""The progress of a run, in words."""

from cnnsweep.analysis.results import RunResult
from cnnsweep.formatting.numbers import UNKNOWN, count_text
from cnnsweep.formatting.weights import weights_words
from cnnsweep.types import PLAIN, RunStatus


def run_epochs_words(run: RunResult) -> str:
    """Return `3 epochs`, or `2 of 40 epochs` if the run has not trained all planned epochs."""
    if run.epochs_planned in (None, run.epochs_done):
        return count_text(run.epochs_done, "epoch")
    return f"{run.epochs_done:,} of {count_text(run.epochs_planned or 0, 'epoch')}"


def in_epoch_words(run: RunResult) -> str:
    """Return the best epoch of a run: `in epoch 37 of 40`, or `in epoch 2 (2 of 40 epochs done)` before its end.

    Averaged weights are named behind it.
    """
    best = run.best_epoch or UNKNOWN
    averaged = "" if run.weights == PLAIN else f", with {weights_words(run.weights)}"
    if run.status is RunStatus.FINISHED or run.epochs_planned is None:
        return f"in epoch {best} of {run.epochs_done}{averaged}"
    return f"in epoch {best} ({run_epochs_words(run)} done){averaged}"
