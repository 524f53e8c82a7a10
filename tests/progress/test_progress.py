import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps_by_hand import Clock, make_overview, make_record, make_runs, train

from cnnsweep.metrics.baseline import Baseline
from cnnsweep.metrics.objective import LAST, Objective, mean_of_last
from cnnsweep.progress.state import SweepProgress
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus


def test_best_run_follows_the_metric_and_a_tie_keeps_the_first() -> None:
    runs = make_runs(3)
    progress = SweepProgress(make_overview(runs))
    for run, accuracy in zip(runs, (0.7, 0.8, 0.8), strict=True):
        progress.run_started(run.id)
        train(progress, run, [accuracy])
    assert progress.best.number == 2
    better = make_record(runs[0], 2, 0.9)
    progress.epoch_ended(better)
    assert [row.number for row in progress.leaders] == [1, 2, 3]


def with_loss(record: EpochRecord, loss: float) -> EpochRecord:
    return dataclasses.replace(record, metrics={**record.metrics, "val_loss": loss})


def test_equal_figures_are_decided_by_the_loss_and_said_to_be_tied() -> None:
    runs = make_runs(2)
    progress = SweepProgress(make_overview(runs, objective=Objective("val_accuracy", "max", LAST)))
    for run, loss in zip(runs, (0.5, 0.4), strict=True):
        record = with_loss(make_record(run, 1, 0.8), loss)
        progress.epoch_ended(record)
    assert progress.best is not None
    assert progress.best.number == 2
    assert progress.is_tied
    worse = with_loss(make_record(runs[1], 2, 0.8), 0.9)
    progress.epoch_ended(worse)  # by the scope `last`, what stands may become worse by its loss alone
    assert progress.best.number == 1
    progress.epoch_ended(make_record(runs[0], 3, 0.9))
    assert not progress.is_tied


def test_nobody_leads_who_is_no_better_than_the_largest_class() -> None:
    runs = make_runs(2)
    progress = SweepProgress(
        dataclasses.replace(
            make_overview(runs), baseline=Baseline("val_accuracy", 0.795, "max", "always answering 'cat'")
        )
    )
    train(progress, runs[0], [0.8])  # of validation images 0.795
    assert progress.best is None
    train(progress, runs[1], [0.81])
    assert progress.best is not None
    assert progress.best.number == 2


def test_the_time_counts_former_commands_and_ends_with_what_is_written_down() -> None:
    runs, clock = make_runs(2), Clock()
    overview = dataclasses.replace(make_overview(runs), elapsed_before=100.0, elapsed=lambda: 107.0)
    progress = SweepProgress(overview, clock)
    progress.run_started(runs[0].id)
    clock.now += 5
    assert progress.elapsed == 105.0
    progress.run_ended(RunOutcome(runs[0].id, RunStatus.FINISHED))
    clock.now += 50  # what comes after the last run is no part of it
    assert progress.elapsed == 107.0


def test_lower_loss_is_better_where_the_metric_is_a_loss() -> None:
    runs = make_runs(2)
    loss = Objective("loss", "min")
    progress = SweepProgress(make_overview(runs, objective=loss))
    for run, accuracy in zip(runs, (0.7, 0.9), strict=True):
        train(progress, run, [accuracy], validated=False)
    assert progress.best.number == 2


def test_run_that_diverges_is_not_the_best_any_more() -> None:
    runs = make_runs(8)
    progress = SweepProgress(make_overview(runs))
    for run, accuracy in zip(runs, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), strict=True):
        progress.run_started(run.id)
        train(progress, run, [accuracy])
    progress.run_ended(RunOutcome(runs[0].id, RunStatus.DIVERGED, "loss is nan"))
    assert [row.number for row in progress.leaders] == [2, 3, 4, 5, 6]
    assert progress.failures[0].number == 1


def test_epochs_that_an_ended_run_did_not_train_are_struck() -> None:
    runs = make_runs(2)
    progress = SweepProgress(make_overview(runs))
    assert progress.epochs_total == 6
    progress.run_started(runs[0].id)
    train(progress, runs[0], [0.5])
    progress.run_ended(RunOutcome(runs[0].id, RunStatus.DIVERGED, "loss is nan"))
    assert (progress.epochs_done, progress.epochs_total) == (1, 4)


def test_resumed_sweep_counts_what_is_done() -> None:
    runs = make_runs(3)
    history = {
        runs[0].id: [make_record(runs[0], epoch, accuracy) for epoch, accuracy in ((1, 0.6), (2, 0.9), (3, 0.8))],
        runs[1].id: [make_record(runs[1], 1, 0.7)],
    }
    outcomes = {runs[0].id: RunOutcome(runs[0].id, RunStatus.FINISHED)}
    progress = SweepProgress(make_overview(runs, history=history, outcomes=outcomes))
    assert (progress.epochs_done, progress.epochs_total) == (4, 9)
    assert progress.best.selected.epoch == 2
    assert progress.counts[RunStatus.FINISHED] == 1
    assert progress.counts[RunStatus.WAITING] == 2


def test_run_tried_again_after_a_failure_counts_anew() -> None:
    runs = make_runs(2)
    history = {runs[0].id: [make_record(runs[0], 1, 0.7), make_record(runs[0], 2, 0.7)]}
    outcomes = {runs[0].id: RunOutcome(runs[0].id, RunStatus.FAILED, "killed")}
    progress = SweepProgress(make_overview(runs, history=history, outcomes=outcomes))
    assert (progress.epochs_done, progress.epochs_total) == (2, 5)
    progress.run_started(runs[0].id)
    assert progress.epochs_total == 6
    assert progress.failures == []
    train(progress, runs[0], [0.7])  # from its beginning
    assert (progress.epochs_done, progress.epochs_total) == (1, 6)


def test_table_shows_the_last_epoch_while_training_and_the_best_after() -> None:
    (run,) = make_runs(1)
    progress = SweepProgress(make_overview([run]))
    row = progress.run_started(run.id)
    train(progress, run, [0.9, 0.8])
    assert row.shown.epoch == 2
    progress.run_ended(RunOutcome(run.id, RunStatus.FINISHED))
    assert row.shown.epoch == 1


def test_table_shows_the_mean_that_stands_for_a_run_that_has_ended() -> None:
    (run,) = make_runs(1)
    mean = Objective("val_accuracy", "max", mean_of_last(2))
    progress = SweepProgress(make_overview([run], objective=mean))
    row = progress.run_started(run.id)
    train(progress, run, [0.9, 0.8, 0.6])
    assert row.shown["accuracy"] == 0.6
    progress.run_ended(RunOutcome(run.id, RunStatus.FINISHED))
    assert (row.shown.epoch, row.shown["accuracy"]) == (3, pytest.approx(0.7))


def test_leader_that_gets_worse_lets_runs_pass_that_did_not_lead() -> None:
    runs = make_runs(8)
    last = Objective("val_accuracy", "max", LAST)
    progress = SweepProgress(make_overview(runs, objective=last))
    for run, accuracy in zip(runs, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), strict=True):
        train(progress, run, [accuracy])
    train(progress, runs[0], [0.9, 0.35])
    assert [row.number for row in progress.leaders] == [2, 3, 4, 5, 6]
    train(progress, runs[7], [0.2, 0.1])  # worse, but it was none of the leaders
    assert [row.number for row in progress.leaders] == [2, 3, 4, 5, 6]
    train(progress, runs[6], [0.3, 0.95])
    assert [row.number for row in progress.leaders] == [7, 2, 3, 4, 5]
    train(progress, runs[2], [float("nan")])  # tried again, and nothing stands for it now
    assert [row.number for row in progress.leaders] == [7, 2, 4, 5, 6]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 10)), max_size=60), st.sampled_from([1, 2, 3]))
def test_leaders_are_those_of_ranking_every_run_anew(events: list[tuple[int, int]], window: int) -> None:
    runs = make_runs(9)
    objective = Objective("val_accuracy", "max", mean_of_last(window))
    progress = SweepProgress(make_overview(runs, objective=objective))
    records: dict[str, list[EpochRecord]] = {run.id: [] for run in runs}
    for position, tenths in events:
        own = records[runs[position].id]
        own.append(make_record(runs[position], len(own) + 1, tenths / 10 if tenths else float("nan")))
        progress.epoch_ended(own[-1])
        kept = progress.leaders
        progress._rank_all()
        assert [row.number for row in kept] == [row.number for row in progress.leaders]


def test_runs_are_ranked_anew_only_when_a_leader_gets_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = make_runs(20)
    progress = SweepProgress(make_overview(runs))
    monkeypatch.setattr(progress, "_rank_all", lambda: pytest.fail("every run was looked at"))
    for position, run in enumerate(runs):
        train(progress, run, [0.5, 0.4 + position / 40, 0.3])
    assert [row.number for row in progress.leaders] == [20, 19, 18, 17, 16]
    fallen = make_record(runs[0], 4, 0.1)
    progress.epoch_ended(fallen)  # as with the scope `last`; it did not lead
    assert [row.number for row in progress.leaders] == [20, 19, 18, 17, 16]


def test_added_runs_follow_in_order_and_known_ones_are_left_alone() -> None:
    runs = make_runs(5)
    progress = SweepProgress(make_overview(runs[:2], to_come=9))
    train(progress, runs[1], [0.5])
    progress.runs_added([runs[3], runs[1], runs[2], runs[3]], 7)
    progress.runs_added([runs[0], runs[4]], 6)
    assert [(row.number, row.run.name) for row in progress.runs.values()] == [
        *((1, "run-1"), (2, "run-2"), (3, "run-4"), (4, "run-3"), (5, "run-5")),
    ]
    assert progress.runs[runs[1].id].epochs_done == 1
    assert progress.counts[RunStatus.WAITING] == 5
    assert (progress.runs_to_come, progress.size) == (6, 11)


def test_runs_to_come_train_as_many_epochs_as_the_known_ones_in_the_mean() -> None:
    short, long = make_runs(1, epochs=2)[0], make_runs(2, epochs=10)[1]
    clock = Clock()
    progress = SweepProgress(make_overview([short], to_come=10), clock)
    assert (progress.epochs_to_come, progress.epochs_total) == (20, 22)
    progress.runs_added([long], 8)
    assert (progress.epochs_to_come, progress.epochs_total) == (48, 60)
    progress.run_started(short.id)
    clock.now += 10
    progress.epoch_ended(make_record(short, 1, 0.5, seconds=10))
    assert progress.seconds_left() == pytest.approx(590)
    progress.runs_added([], 3)
    assert progress.seconds_left() == pytest.approx(290)  # 1 + 10 + 18 epochs
    # A run that is stopped early takes its epochs along, and those to come are expected to be shorter.
    progress.run_ended(RunOutcome(long.id, RunStatus.STOPPED, "below the rest"))
    assert (progress.epochs_to_come, progress.epochs_left, progress.epochs_total) == (3, 4, 5)
    assert progress.seconds_left() == pytest.approx(40)


def test_search_without_a_run_has_no_epochs_and_no_estimate() -> None:
    progress = SweepProgress(make_overview([], to_come=10))
    assert (progress.epochs_total, progress.seconds_left()) == (0, None)


def test_stopped_runs_keep_their_place_among_the_leaders() -> None:
    runs = make_runs(3)
    progress = SweepProgress(make_overview(runs))
    train(progress, runs[0], [0.9])
    train(progress, runs[1], [0.8])
    progress.run_ended(RunOutcome(runs[0].id, RunStatus.STOPPED, "early"))
    progress.run_ended(RunOutcome(runs[2].id, RunStatus.STOPPED, "before its first epoch"))
    assert [row.number for row in progress.leaders] == [1, 2]
    assert (progress.failures, progress.active) == ([], {})
    assert (progress.epochs_done, progress.epochs_total) == (2, 4)
    assert progress.runs[runs[2].id].shown is None


def test_resumed_sweep_trains_no_more_of_what_was_stopped() -> None:
    runs = make_runs(2)
    history = {runs[0].id: [make_record(runs[0], 1, 0.6)]}
    outcomes = {run.id: RunOutcome(run.id, RunStatus.STOPPED, "early") for run in runs}
    progress = SweepProgress(make_overview(runs, history=history, outcomes=outcomes))
    assert (progress.epochs_done, progress.epochs_total, progress.counts[RunStatus.STOPPED]) == (1, 1, 2)


def test_a_run_added_later_brings_what_it_came_to_in_an_earlier_session() -> None:
    runs = make_runs(3)
    ended = RunOutcome(runs[1].id, RunStatus.FINISHED)
    overview = dataclasses.replace(
        make_overview(runs[:1], to_come=2),
        history={runs[1].id: [make_record(runs[1], 1, 0.6), make_record(runs[1], 2, 0.8)]},
        outcomes={runs[1].id: ended},
    )
    progress = SweepProgress(overview)
    train(progress, runs[0], [0.7])
    assert (progress.epochs_done, progress.best.number) == (1, 1)
    progress.runs_added(runs[1:], 0)
    assert (progress.epochs_done, progress.best.number) == (3, 2)
    assert progress.counts[RunStatus.FINISHED] == 1
    assert progress.runs[runs[1].id].epochs_left == 0
