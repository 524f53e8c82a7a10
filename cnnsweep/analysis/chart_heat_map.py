"""Heat maps: the mean of the metric for each combination of two hyperparameters."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cnnsweep.analysis.axes import Levels, in_file_order, levels_of, trial_axes
from cnnsweep.analysis.baseline import is_praised
from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.importance import estimates_by_cell
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial
from cnnsweep.formatting.numbers import count_text, is_unused, metric_text

MOST_HYPERPARAMETERS = 12  # limit of hyperparameters: the number of pairs grows with the square
MOST_LEVELS = 40  # values of a hyperparameter that is not numeric; numbers are binned

Cell = tuple[int, int]  # column, row


@dataclass(frozen=True, slots=True)
class Axis:
    """A hyperparameter and the texts of its values (or bins), in the order of the file."""

    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """One pair of hyperparameters; combinations that were not trained are in neither mapping.

    Attributes:
        means: of the metric over the trials of a combination.
        counts: number of these trials.
        is_praised: see `is_praised`.
    """

    metric: str
    mode: str
    across: Axis
    up: Axis
    means: Mapping[Cell, float]
    counts: Mapping[Cell, int]
    is_praised: bool

    @property
    def table(self) -> list[list[float | None]]:
        """The means, row by row."""
        return [[self.means.get((x, y)) for x in range(len(self.across.texts))] for y in range(len(self.up.texts))]

    @property
    def has_all_values(self) -> bool:
        """True where each value was trained with some value of the other."""
        rows, columns = self.table, zip(*self.table, strict=True)
        return all(any(mean is not None for mean in line) for line in (*rows, *columns))

    @property
    def description(self) -> str:
        return f"of the trials with each combination of {self.across.name} (across) and {self.up.name} (up)"

    @property
    def diagnostic(self) -> str:
        best = (max if self.mode == "max" else min)(self.means, key=lambda cell: self.means[cell])
        where = f"{self.across.name} {self.across.texts[best[0]]} with {self.up.name} {self.up.texts[best[1]]}"
        return f"The {'best' if self.is_praised else 'first'} is {where}: {metric_text(self.metric, self.means[best])}."

    def cell_text(self, cell: Cell) -> str:
        """Return `mean val_accuracy 0.8000, 3 trials`."""
        if cell not in self.means:
            return "not trained"
        count = count_text(self.counts[cell], "trial")
        return f"mean {self.metric} {metric_text(self.metric, self.means[cell])}, {count}"


@dataclass(frozen=True, slots=True)
class HeatMaps:
    """A heat map of each pair of `names` that was trained together, by the pair's positions (across, up).

    Attributes:
        names: in the order of the file.
        chosen: the two most important ones that were trained together; fewer values across, since labels need room.
    """

    names: tuple[str, ...]
    maps: Mapping[tuple[int, int], HeatMap]
    chosen: tuple[int, int]
    notes: tuple[str, ...]


def heat_maps(
    results: Results,
    trials: Sequence[Trial],
    shares: Mapping[str, float] | None,
    most_levels: int = MOST_LEVELS,
) -> HeatMaps | None:
    """Return the heat maps; None with fewer than two hyperparameters of two to `most_levels` values.

    Args:
        shares: the result of `importance`; without it the effects give the order.
    """
    known = [trial for trial in trials if trial.estimate is not None]
    runs = in_file_order(results, [trial.runs[0] for trial in known])
    levels = [levels_of(name, runs, always=True) for name in trial_axes(results)]
    by_name = {part.name: part for part in levels if 1 < len(_used(part)) <= most_levels}
    order = dict.fromkeys([*(shares or {}), *(effect.name for effect in effects(results)), *by_name])
    weighty = [name for name in order if name in by_name][:MOST_HYPERPARAMETERS]
    names = tuple(name for name in by_name if name in weighty)
    maps = {}
    for across, up in itertools.permutations(range(len(names)), 2):
        found = _heat_map(results, by_name[names[across]], by_name[names[up]], known)
        if found is not None:
            maps[across, up] = found
    if not maps:
        return None
    left_out = len(trial_axes(results)) - len(names)
    why = "cannot be chosen: fewer than two means, little effect, or too many values"
    notes = (f"{count_text(left_out, 'hyperparameter')} {why}.",) if left_out else ()
    pairs = [(names.index(a), names.index(b)) for a, b in itertools.combinations(weighty, 2)]
    return HeatMaps(names, maps, _chosen(maps, pairs), notes)


def _chosen(maps: Mapping[tuple[int, int], HeatMap], pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the first of the pairs that has no empty row or column, the one with fewer values across.

    A hyperparameter that depends on another, such as momentum on the optimizer, leaves rows empty.
    """
    known = [pair for pair in pairs if pair in maps]
    across, up = next((pair for pair in known if maps[pair].has_all_values), known[0])
    is_wide = len(maps[across, up].across.texts) > len(maps[across, up].up.texts)
    return (up, across) if is_wide else (across, up)


def _used(levels: Levels) -> list[int]:
    """Return the positions of the levels that are values, without the level of runs that do not use it."""
    return [n for n, value in enumerate(levels.values) if not is_unused(levels.name, value)]


def _heat_map(results: Results, across: Levels, up: Levels, trials: Sequence[Trial]) -> HeatMap | None:
    found = estimates_by_cell(across, up, trials)
    if not found:
        return None
    columns, rows = _used(across), _used(up)
    cells = {(columns.index(x), rows.index(y)): part for (x, y), part in found.items()}
    objective = results.sweep.objective
    return HeatMap(
        objective.metric,
        objective.mode,
        Axis(across.name, tuple(across.texts[n] for n in columns)),
        Axis(up.name, tuple(up.texts[n] for n in rows)),
        {cell: fmean(one.mean for one in part) for cell, part in cells.items()},
        {cell: len(part) for cell, part in cells.items()},
        is_praised(results, trials),
    )
