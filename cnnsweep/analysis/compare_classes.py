"""Recall by class of two runs, each with its evaluation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.analysis.class_counts import ClassCounts, Interval
from cnnsweep.analysis.confusion import IMAGES, Measured, names_text
from cnnsweep.analysis.run_evaluation import RunEvaluation, load_run_evaluation
from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import RunPaths, SweepPaths


@dataclass(frozen=True, slots=True)
class ClassChange:
    """The counts of one class in two runs."""

    first: ClassCounts
    second: ClassCounts

    @property
    def name(self) -> str:
        return self.first.name

    @property
    def difference(self) -> float | None:
        """The recall of the second run minus that of the first."""
        before, after = self.first.recall, self.second.recall
        return None if before is None or after is None else after - before

    @property
    def ends(self) -> Interval | None:
        """The 95 % interval of the difference (Newcombe, 1998, method 10), from Wilson's of both recalls.

        It takes the images of the runs as independent. Runs on the same images share much of their luck, so it is
        wider than needed; a confusion matrix does not say which images both recognise.
        """
        before, after = self.first.recall, self.second.recall
        ends = self.first.recall_ends, self.second.recall_ends
        if before is None or after is None or ends[0] is None or ends[1] is None:
            return None
        below = math.hypot(after - ends[1][0], ends[0][1] - before)
        above = math.hypot(ends[1][1] - after, before - ends[0][0])
        return max(after - before - below, -1.0), min(after - before + above, 1.0)

    @property
    def is_clear(self) -> bool:
        """True if the interval excludes 0."""
        return self.ends is not None and not self.ends[0] <= 0 <= self.ends[1]


@dataclass(frozen=True, slots=True)
class ClassComparison:
    """Recall by class of two runs.

    Attributes:
        runs: their names.
        images: `440 test images` of each.
        rows: classes with images in both, the class with fewest images first.
        notes: classes of only one of them.
    """

    runs: tuple[str, str]
    images: tuple[str, str]
    rows: tuple[ClassChange, ...]
    notes: tuple[str, ...]


def compare_classes(first: RunEvaluation, second: RunEvaluation) -> ClassComparison | None:
    """Return the comparison of two evaluations; None if they are of different splits, or share no class."""
    if first.split != second.split:
        return None
    of_second = {one.name: one for one in second.by_class}
    both = [ClassChange(one, of_second[one.name]) for one in first.by_class if one.name in of_second]
    rows = [row for row in both if row.difference is not None]
    if not rows:
        return None
    rows.sort(key=lambda row: row.first.images + row.second.images)
    known = {row.name for row in rows}
    others = [name for name in dict.fromkeys([*first.classes, *second.classes]) if name not in known]
    notes = [f"not measured in both: {names_text(others)}"] if others else []
    return ClassComparison((first.run, second.run), (_images(first), _images(second)), tuple(rows), tuple(notes))


def _images(one: Measured) -> str:
    return f"{one.images:,} {IMAGES[one.split]}"


def are_runs(paths: Sequence[Path]) -> bool:
    """True for folders of runs, as against sweeps."""
    return bool(paths) and all(
        RunPaths(path).best_weights.is_file() and not SweepPaths(path).results_json.is_file() for path in paths
    )


def compare_runs(paths: Sequence[Path]) -> ClassComparison:
    """Return the comparison of the evaluations in two folders of runs.

    Raises:
        UsageError: they are not two, or have no evaluations on the same kind of images.
        ResultsError: an evaluation is damaged.
    """
    if len(paths) != 2:
        raise UsageError(f"compare: found {len(paths)} folders of runs; give two, or the folders of sweeps")
    first, second = map(_evaluation, paths)
    if (found := compare_classes(first, second)) is not None:
        return found
    if first.split != second.split:
        splits = " and on ".join(IMAGES[one.split] for one in (first, second))
        message = f"the runs were measured on {splits}"
    else:
        message = "the runs have no class with images in common"
    raise UsageError(f"compare: {message}; measure both alike with 'cnnsweep evaluate RUN --split test'")


def _evaluation(path: Path) -> RunEvaluation:
    found = load_run_evaluation(path)
    if found is None:
        raise UsageError(
            f"compare: {safe_text(path)} has no evaluation; measure it first, as in: "
            f"cnnsweep evaluate {safe_text(path)} --split test"
        )
    return found
