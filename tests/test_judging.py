"""What an early-stopping rule is asked: the means of configurations, by what the journal says at that moment."""

from __future__ import annotations

import math

import pytest
from results_by_hand import standard_metrics

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.halving import Halving
from cnnsweep.pruners.median import Median
from cnnsweep.pruners.threshold import Threshold
from cnnsweep.storage.rows import event_from_decision, event_from_record, event_from_run
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.tuner.pruning import PrunerDriver, average_curve
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus

NAN = math.nan
ACCURACY = Objective("val_accuracy", "max")


def record(run_id, epoch, figure, divergence=None):
    return EpochRecord(run_id, epoch, standard_metrics(1.0, 0.5, 1.0, figure), 1.0, 1.0, 0.1, 1, divergence)


def run(*figures, status=None, diverges=False, epochs=4):
    """Return a run with these figures; of the last one it has diverged, if asked for."""
    made = RunState("r", "r", {}, 1, "c", epochs=epochs)
    for epoch, figure in enumerate(figures, start=1):
        is_bad = diverges and epoch == len(figures)
        made.records.append(record("r", epoch, figure, "the loss became nan in batch 1" if is_bad else None))
    made.outcome = None if status is None else RunOutcome("r", status)
    return made


def curve(*runs, objective=ACCURACY):
    made = average_curve("c", runs, objective)
    rounded = [
        [None if value is None else round(value, 9) for value in column] for column in (made.values, made.selected)
    ]
    return (*rounded, made.epochs)


def test_a_curve_is_the_mean_over_seeds_as_far_as_all_have_come():
    assert curve(run(0.2, 0.4), run(0.4, 0.2, 0.9)) == ([0.3, 0.3], [0.3, 0.4], 4)
    assert curve(run(0.2), run()) == ([], [], 4)
    assert curve(run(0.2, 0.1)) == ([0.2, 0.1], [0.2, 0.2], 4)
    assert curve() == ([], [], 0)


@pytest.mark.parametrize(("scope", "selected"), [("last", [0.2, 0.4, 0.3]), ("mean of last 2", [0.2, 0.3, 0.35])])
def test_what_stands_follows_the_scope(scope, selected):
    assert curve(run(0.2, 0.4, 0.3), objective=Objective("val_accuracy", "max", scope))[1] == selected


def test_less_may_be_better():
    assert curve(run(0.5, 0.2, 0.4), objective=Objective("val_accuracy", "min"))[1] == [0.5, 0.2, 0.2]


def test_from_where_a_seed_diverged_there_is_no_mean():
    lucky, unlucky = run(0.2, 0.4, 0.6), run(0.2, 0.4, diverges=True, status=RunStatus.DIVERGED)
    assert curve(lucky, unlucky) == ([0.2, None, None], [0.2, None, None], 4)
    assert curve(unlucky, unlucky) == ([0.2, None], [0.2, None], 4)
    assert curve(run(0.3, diverges=True), run(0.3, 0.5, diverges=True)) == ([None], [None], 4)


def test_a_figure_that_is_not_finite_is_none_and_what_stands_is_what_stood_before():
    assert curve(run(0.2, NAN, None, 0.3)) == ([0.2, None, None, 0.3], [0.2, 0.2, 0.2, 0.3], 4)
    assert curve(run(NAN, 0.3), run(0.1, 0.5)) == ([None, 0.4], [None, 0.4], 4)


def test_a_run_that_failed_is_left_out():
    failed = run(0.1, status=RunStatus.FAILED)
    assert curve(failed, run(0.2, 0.4)) == ([0.2, 0.4], [0.2, 0.4], 4)
    assert curve(failed) == ([], [], 4)


def test_a_journal_of_an_earlier_version_does_not_say_how_many_epochs_there_are():
    assert curve(run(0.1, 0.2, epochs=None))[2] == 2


class Sweep:
    """A sweep's journal, written by hand."""

    def __init__(self, rule, params="lr: [0.1, 0.01, 0.001, 0.0001], epochs: 4", more="seeds: 2"):
        text = f"name: s\ndataset: shapes\nmodel: cnn\nparams: {{{params}}}\n{more}\n"
        self.runs = expand_runs(parse_sweep(text, "s.yaml")).runs
        self.history = SweepState({"metric": "val_accuracy", "mode": "max"})
        self.rule = rule
        self.judge = PrunerDriver(rule, self.history)
        for one in self.runs:
            self.apply("run", **event_from_run(one, 1))
        self.judge.add_runs(self.runs)

    def apply(self, kind, **fields):
        self.history.apply({"event": kind, "time": "now", **fields})

    def ends(self, number, *figures, diverges=False):
        """Let a run end one more epoch with each of the figures."""
        one = self.runs[number]
        for figure in figures:
            epoch = len(self.history.runs[one.id].records) + 1
            made = record(one.id, epoch, figure, "the loss became nan" if diverges else None)
            self.apply("epoch", **event_from_record(made, None))
            self.judge.run_changed(one.id)

    def is_over(self, number, status):
        self.apply("ended", run=self.runs[number].id, status=str(status), cause=None)
        self.judge.run_changed(self.runs[number].id)

    def asks(self, *numbers):
        """Return what is found, as a judge says that was there all the time, and one that has just read the journal."""
        ids = [self.runs[number].id for number in numbers]
        found = self.judge.new_decisions(ids)
        resumed = PrunerDriver(self.rule, self.history)
        resumed.add_runs(self.runs)
        assert resumed.new_decisions(ids) == found
        return found

    def notes(self, decisions):
        self.apply("judged", verdicts=list(map(event_from_decision, decisions)))

    def stopped(self, *numbers):
        ids = self.judge.stopped([self.runs[number].id for number in numbers])
        return [number for number, one in enumerate(self.runs) if one.id in ids]


HALVING = Halving(factor=2)
THRESHOLD = Threshold(value=0.5)


def test_a_configuration_is_judged_once_when_the_last_of_its_runs_has_come_there():
    sweep = Sweep(THRESHOLD)
    sweep.ends(0, 0.1)
    assert sweep.asks(0) == []
    sweep.ends(1, 0.3)
    (decision,) = found = sweep.asks(0, 1)
    assert (decision.trial_id, decision.epoch, decision.stops) == (sweep.runs[0].trial_id, 1, True)
    assert decision.value == pytest.approx(0.2)
    assert sweep.stopped(0, 1) == []  # nothing follows from what is not written down
    sweep.notes(found)
    assert sweep.asks(0, 1) == []
    assert sweep.stopped(0) == [0, 1]
    assert sweep.judge.why_stopped(sweep.runs[0].id).startswith("epoch 1: val_accuracy is 0.2, needed was 0.5 (")


def test_a_run_that_failed_counts_no_longer_whether_the_judge_was_there_or_reads_of_it():
    sweep = Sweep(HALVING, more="seeds: 1")
    sweep.ends(0, 0.9)
    sweep.notes(sweep.asks(0))
    sweep.is_over(0, RunStatus.FAILED)
    sweep.ends(1, 0.5)
    (decision,) = sweep.asks(1)
    assert (decision.stops, decision.compared) == (False, 1)


def test_a_run_that_goes_on_from_before_counts_as_far_as_that():
    sweep = Sweep(Median(min_settings=1), more="seeds: 1")
    sweep.ends(0, 0.9, 0.9)
    sweep.ends(1, 0.1)
    assert sweep.asks(1)[0].stops
    sweep.apply("resumed", run=sweep.runs[0].id, epoch=0)
    sweep.judge.run_changed(sweep.runs[0].id)
    assert sweep.asks(1) == []


def test_other_seeds_of_one_that_diverged_stop_at_the_next_rung():
    sweep = Sweep(HALVING)
    sweep.ends(0, 0.9)
    sweep.ends(1, NAN, diverges=True)
    sweep.is_over(1, RunStatus.DIVERGED)
    (decision,) = found = sweep.asks(0)
    assert (decision.stops, decision.value) == (True, None)
    sweep.notes(found)
    assert sweep.stopped(0, 1) == [0]
    assert "val_accuracy has no finite value" in sweep.judge.why_stopped(sweep.runs[0].id)


def test_a_configuration_all_of_whose_seeds_have_ended_is_not_judged():
    sweep = Sweep(THRESHOLD)
    for number in (0, 1):
        sweep.ends(number, NAN, diverges=True)
    assert sweep.asks(0, 1) == []
    for number in (0, 1):
        sweep.is_over(number, RunStatus.DIVERGED)
    assert sweep.asks(0, 1) == []


def test_seeds_that_an_edited_file_adds_stop_where_the_others_did():
    sweep = Sweep(THRESHOLD)
    sweep.ends(0, 0.1)
    sweep.ends(1, 0.1)
    sweep.notes(sweep.asks(0, 1))
    for number in (0, 1):
        sweep.is_over(number, RunStatus.STOPPED)
    more = Sweep(THRESHOLD, more="seeds: 3")
    for one in more.runs:
        if one.id not in sweep.history.runs:
            sweep.apply("run", **event_from_run(one, 1))
    sweep.runs = more.runs
    sweep.judge.add_runs(more.runs)
    sweep.ends(2, 0.9)
    assert sweep.asks(2) == []
    assert sweep.stopped(2) == [2]


def test_settings_that_are_at_their_last_epoch_are_compared_but_not_stopped():
    sweep = Sweep(HALVING, params="lr: 0.1, epochs: [2, 4]", more="seeds: 1")
    sweep.ends(0, 0.1, 0.9)
    sweep.ends(1, 0.1, 0.2)
    (decision,) = sweep.asks(0, 1)
    assert (decision.trial_id, decision.stops, decision.compared) == (sweep.runs[1].trial_id, True, 2)


def test_without_a_rule_nothing_stops_whatever_was_found_before():
    sweep = Sweep(THRESHOLD)
    sweep.ends(0, 0.1)
    sweep.ends(1, 0.1)
    sweep.notes(sweep.asks(0, 1))
    free = PrunerDriver(None, sweep.history)
    free.add_runs(sweep.runs)
    ids = [one.id for one in sweep.runs[:2]]
    assert (free.new_decisions(ids), free.stopped(ids)) == ([], [])


def test_a_journal_without_configurations_is_judged_by_those_of_the_file():
    sweep = Sweep(THRESHOLD)
    for number in (0, 1):
        sweep.history.runs[sweep.runs[number].id].trial_id = sweep.runs[number].id
        sweep.ends(number, 0.1)
    assert [one.trial_id for one in sweep.asks(0, 1)] == [sweep.runs[0].trial_id]


def test_runs_go_side_by_side_as_far_as_the_nearest_look():
    sweep = Sweep(HALVING, "lr: [0.1, 0.01, 0.001, 0.0001], epochs: 9")  # rungs 1, 2, 4, 8; two seeds of each

    def stop_epochs(*numbers):
        ids = [run.id for run in sweep.runs]
        found = sweep.judge.epochs_to_next_look([ids[number] for number in numbers])
        return {ids.index(run_id): goal for run_id, goal in found.items()}

    assert stop_epochs(0, 1) == {0: 1, 1: 1}
    sweep.ends(0, 0.1, 0.2)
    sweep.ends(1, 0.1, 0.2)
    sweep.notes(sweep.asks(0, 1))
    assert stop_epochs(0, 1) == {0: 4, 1: 4}
    assert stop_epochs(0, 1, 2, 3) == {0: 3, 1: 3, 2: 1, 3: 1}  # the second trial is new
    sweep.ends(2, 0.1)
    assert stop_epochs(0, 1, 2, 3) == {0: 3, 1: 3, 3: 1}  # its first seed waits for the other
    sweep.ends(0, *[0.3] * 6)
    sweep.ends(1, *[0.3] * 6)
    assert stop_epochs(0, 1) == {0: 9, 1: 9}  # to its end
    sweep.ends(0, 0.3)
    sweep.ends(1, 0.3)
    assert stop_epochs(0, 1) == {0: 10, 1: 10}  # there, and nobody has said so


def test_runs_that_start_over_are_looked_at_again_where_a_verdict_ends_them():
    sweep = Sweep(HALVING, "lr: [0.1, 0.01], epochs: 9", more="seeds: 1")
    sweep.ends(0, 0.9)
    sweep.ends(1, 0.1)
    sweep.notes(sweep.asks(0, 1))
    assert sweep.stopped(0, 1) == [1]
    goes_on, ends = (one.id for one in sweep.runs)
    for run_id in (goes_on, ends):
        sweep.apply("resumed", run=run_id, epoch=0)
        sweep.judge.run_changed(run_id)
    assert sweep.judge.epochs_to_next_look([goes_on]) == {goes_on: 2}
    assert sweep.judge.epochs_to_next_look([ends]) == {ends: 1}
    assert [sweep.judge.next_rung([run_id]) for run_id in (goes_on, ends)] == [2, 1]
