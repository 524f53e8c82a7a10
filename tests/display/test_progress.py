from sweeps_by_hand import make_overview, make_record, make_runs

from cnnsweep.display.progress import SweepProgress
from cnnsweep.records import RunOutcome, RunStatus
from cnnsweep.selection import Objective


def test_best_run_follows_the_metric_and_a_tie_keeps_the_first() -> None:
    runs = make_runs(3)
    progress = SweepProgress(make_overview(runs))
    for run, accuracy in zip(runs, (0.7, 0.8, 0.8), strict=True):
        progress.run_started(run.id)
        progress.epoch_ended(make_record(run, 1, accuracy), True)
    assert progress.best.number == 2
    progress.epoch_ended(make_record(runs[0], 2, 0.9), True)
    assert [row.number for row in progress.leaders] == [1, 2, 3]


def test_lower_loss_is_better_where_the_metric_is_a_loss() -> None:
    runs = make_runs(2)
    progress = SweepProgress(make_overview(runs, objective=Objective("loss", "min")))
    for run, accuracy in zip(runs, (0.7, 0.9), strict=True):
        progress.epoch_ended(make_record(run, 1, accuracy, validated=False), True)
    assert progress.best.number == 2


def test_run_that_diverges_is_not_the_best_any_more() -> None:
    runs = make_runs(8)
    progress = SweepProgress(make_overview(runs))
    for run, accuracy in zip(runs, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2), strict=True):
        progress.run_started(run.id)
        progress.epoch_ended(make_record(run, 1, accuracy), True)
    progress.run_ended(RunOutcome(runs[0].id, RunStatus.DIVERGED, "loss is nan"))
    assert [row.number for row in progress.leaders] == [2, 3, 4, 5, 6]
    assert progress.failures[0].number == 1


def test_epochs_that_an_ended_run_did_not_train_are_struck() -> None:
    runs = make_runs(2)
    progress = SweepProgress(make_overview(runs))
    assert progress.epochs_total == 6
    progress.run_started(runs[0].id)
    progress.epoch_ended(make_record(runs[0], 1, 0.5), True)
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
    assert progress.best.best.epoch == 2
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
    progress.epoch_ended(make_record(runs[0], 1, 0.7), True)  # from its beginning
    assert (progress.epochs_done, progress.epochs_total) == (1, 6)


def test_table_shows_the_last_epoch_while_training_and_the_best_after() -> None:
    (run,) = make_runs(1)
    progress = SweepProgress(make_overview([run]))
    row = progress.run_started(run.id)
    progress.epoch_ended(make_record(run, 1, 0.9), True)
    progress.epoch_ended(make_record(run, 2, 0.8), False)
    assert row.shown.epoch == 2
    progress.run_ended(RunOutcome(run.id, RunStatus.FINISHED))
    assert row.shown.epoch == 1
