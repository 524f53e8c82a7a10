"""Importance of each hyperparameter, and interaction of each pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.analysis.axes import trial_axes
from cnnsweep.analysis.importance import TRIALS_PER_AXIS, interactions
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

MOST_BARS = 10
LEAST_SHARE = 0.005  # smaller shares are printed as 0 %
FEW_PER_CELL = 3  # trials; below, noise looks like interaction


@dataclass(frozen=True, slots=True)
class Bar:
    """A hyperparameter or a pair with its share, 0 to 1."""

    label: str
    share: float

    @property
    def text(self) -> str:
        return f"{self.share * 100:.0f} %"


@dataclass(frozen=True, slots=True)
class ShareChart:
    """Shares as bars, the largest first.

    Attributes:
        heading: the heading of the labels.
        meaning: the meaning of a share.
        diagnostic: a sentence about the largest.
        notes: warnings about the shares.
    """

    title: str
    heading: str
    meaning: str
    bars: tuple[Bar, ...]
    diagnostic: str
    notes: tuple[str, ...]


def importance_chart(
    results: Results, trials: Sequence[Trial], shares: Mapping[str, float] | None
) -> ShareChart | None:
    """Return the chart of importance, or None without shares.

    Args:
        shares: the result of `importance`, which takes a while.
    """
    if not shares:
        return None
    bars = tuple(Bar(safe_text(name), share) for name, share in list(shares.items())[:MOST_BARS])
    known = sum(trial.estimate is not None for trial in trials)
    needed = TRIALS_PER_AXIS * len(trial_axes(results))
    notes = []
    if known < needed:
        few = f"{count_text(known, 'trial')} are too few for {count_text(len(shares), 'hyperparameter')}"
        notes.append(f"{few}: shares are a rough guess below {needed:,} trials.")
    if left_out := len(shares) - len(bars):
        verb = "matters" if left_out == 1 else "matter"
        notes.append(f"{count_text(left_out, 'more hyperparameter')} {verb} less.")
    return ShareChart(
        "Importance",
        "hyperparameter",
        "share of the difference between the best trials and the rest (PED-ANOVA)",
        bars,
        f"The largest share is {bars[0].label}, {bars[0].text}; the shares sum to 100 %.",
        tuple(notes),
    )


def interaction_chart(results: Results, trials: Sequence[Trial]) -> ShareChart | None:
    """Return the pairs of hyperparameters with a joint effect, or None without any."""
    found = [pair for pair in interactions(results, trials) if pair.share >= LEAST_SHARE]
    pairs = found[:MOST_BARS]
    if not pairs:
        return None
    bars = tuple(Bar(f"{safe_text(pair.first)} × {safe_text(pair.second)}", pair.share) for pair in pairs)
    notes = []
    if any(pair.per_cell < FEW_PER_CELL for pair in pairs):
        fewest = min(pair.per_cell for pair in pairs)
        notes.append(f"{fewest:.1f} trials per combination are few: part of the shares is noise.")
    if any(pair.cells < pair.possible for pair in pairs):
        notes.append("Not every combination was trained: shares refer to the trained ones.")
    if left_out := len(found) - len(pairs):
        notes.append(f"{count_text(left_out, 'more pair')} with a smaller share.")
    return ShareChart(
        "Interaction",
        "pair",
        "share of the differences between combinations that is due to two hyperparameters jointly",
        bars,
        f"The largest share is {bars[0].label}, {bars[0].text}.",
        tuple(notes),
    )
