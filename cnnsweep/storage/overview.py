"""Overview of a sweep, made from its state: the same for the process that trains and for one that reads the journal."""

from collections.abc import Sequence

from cnnsweep.callbacks import RunInfo, SweepOverview, UnderWay
from cnnsweep.metrics.baseline import deciding_baseline
from cnnsweep.storage.state import SweepState


def make_overview(
    state: SweepState,
    *,
    folder: str,
    device: str,
    columns: Sequence[str],
    runs: Sequence[RunInfo],
    runs_to_come: int,
    under_way: UnderWay | None = None,
) -> SweepOverview:
    """Return the argument of `on_sweep_start`; see `SweepOverview` for the arguments."""
    assert state.sweep is not None, "the journal has begun"
    known = state.runs.values()  # all in the folder: a sampler may suggest again what an earlier one had
    return SweepOverview(
        name=str(state.sweep["name"]),
        folder=folder,
        device=device,
        columns=tuple(columns),
        runs=tuple(runs),
        objective=state.objective,
        history={run.id: tuple(run.records) for run in known if run.records},
        outcomes={run.id: run.outcome for run in known if run.outcome is not None},
        runs_to_come=runs_to_come,
        under_way=under_way,
        elapsed_before=state.time.before,
        elapsed=lambda: state.elapsed,
        baseline=deciding_baseline(state.objective, state.sweep),
    )
