"""The loss of every batch of one run, smoothed to a number of points."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, best_of, trial_words
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, metric_text
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import MOST_BYTES, read_bounded

_EXPECTED = "expected rows epoch,step,loss"
MOST_TRIALS = 5
MOST_POINTS = 600  # points of a curve
LOG_SPAN = 30  # ratio from which losses are drawn by their logarithm


@dataclass(frozen=True, slots=True)
class BatchChart:
    """The training loss of one run by batch.

    Attributes:
        label: the trial with its rank; the name of a run if it is shown by itself.
        words: the trial for use in a sentence.
        batches: number of batches.
        size: number of neighbouring batches averaged in each point.
        points: batch and loss.
        is_log: the loss is drawn by its logarithm.
    """

    label: str
    words: str
    batches: int
    size: int
    points: tuple[tuple[float, float], ...]
    is_log: bool

    @property
    def title(self) -> str:
        return "loss by batch" if self.size == 1 else f"loss by batch (means of {self.size:,})"

    @property
    def diagnostic(self) -> str:
        ends = [metric_text("loss", self.points[n][1]) for n in (0, -1)]
        means = f", each point the mean of {self.size:,} batches" if self.size > 1 else ""
        batches = count_text(self.batches, "batch", "batches")
        return f"Training loss over {batches} of {self.words}{means}: from {ends[0]} to {ends[1]}."


def batch_charts(results: Results, trials: Sequence[Trial]) -> tuple[list[BatchChart], list[str]]:
    """Return a chart of the best run of each of the best trials, and the problems of damaged files."""
    charts, problems = [], []
    for trial in [trial for trial in trials if trial.place is not None][:MOST_TRIALS]:
        run = best_of(results, trial)
        try:
            losses = load_batch_losses(SweepPaths(results.folder).run(run.name).batch_losses)
        except ResultsError as error:
            problems.append(str(error))
            continue
        label = f"{trial.place}  {trial_words(results, trial)}"
        chart = batch_chart(losses, label, trial_words(results, trial, ", "))
        charts += [] if chart is None else [chart]
    return charts, problems


def batch_chart(losses: Sequence[float], label: str, words: str, most: int = MOST_POINTS) -> BatchChart | None:
    """Return the chart of one run, None with fewer than two points."""
    size, points = smooth_losses(losses, most)
    if len(points) < 2:
        return None
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    return BatchChart(label, words, len(losses), size, tuple(points), low > 0 and high / low > LOG_SPAN)


def load_batch_losses(file: Path) -> list[float]:
    """Return the loss of each batch, NaN if it was not finite; empty if the file is missing.

    Raises:
        ResultsError: the file cannot be read; the message names the line.
    """
    try:
        rows = csv.DictReader(io.StringIO(read_bounded(file, MOST_BYTES).decode("utf-8"), newline=""))
        return [_loss(file, rows.line_num, row.get("loss")) for row in rows]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise ResultsError(f"{safe_text(file)}: is not UTF-8 text; {_EXPECTED}") from None
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultsError(f"{safe_text(file)}: cannot be read ({safe_text(reason)})") from None


def _loss(file: Path, line: int, text: str | None) -> float:
    if text is None:
        raise ResultsError(f"{safe_text(file)}:{line}  has no loss; {_EXPECTED}")
    try:
        return float(text or "nan")
    except ValueError:
        raise ResultsError(f"{safe_text(file)}:{line}  '{safe_text(text)}' is not a loss; {_EXPECTED}") from None


def smooth_losses(losses: Sequence[float], most: int) -> tuple[int, list[tuple[float, float]]]:
    """Return the loss by batch as at most `most` points, each a mean of neighbours, and the number of neighbours.

    Losses that are not finite are left out.
    """
    size = math.ceil(len(losses) / most) or 1
    points = []
    for start in range(0, len(losses), size):
        finite = [loss for loss in losses[start : start + size] if math.isfinite(loss)]
        if finite:
            points.append((start + (size + 1) / 2, fmean(finite)))
    return size, points
