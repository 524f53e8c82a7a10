"""Which trials a search asks for: in rounds, from the sweep file and the journal alone."""

from __future__ import annotations

import pytest
from results_by_hand import standard_metrics

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.storage.rows import event_from_record, event_from_run
from cnnsweep.storage.state import SweepState
from cnnsweep.tuner.sampling import FIRST_ROUND, TrialSource
from cnnsweep.types import EpochRecord, RunStatus

SPACE = """
name: s
dataset: shapes
model: cnn
params:
  lr: {log_uniform: [1e-3, 0.3]}
  optimizer: [adam, sgd]
  momentum: {uniform: [0, 0.9], step: 0.1}
  epochs: 2
when: {momentum: {optimizer: sgd}}
"""
FINITE = "name: s\ndataset: shapes\nmodel: cnn\nparams: {lr: [0.1, 0.01, 0.001], optimizer: [adam, sgd]}\n"


def searching(method="random", runs=5, more="", text=SPACE):
    return f"{text}search: {{method: {method}, runs: {runs}{more}}}\n"


class Search:
    """A search and its journal, in which every run ends at once; `figures` gives the figure of a run."""

    def __init__(self, text, history=None, figure=lambda run: run.hyperparameters.lr):
        self.spec = parse_sweep(text, "s.yaml")
        self.trial_source = TrialSource(self.spec)
        self.history = history or SweepState({"metric": "val_accuracy", "mode": "max"})
        self.figure = figure
        self.runs = []
        self.take((*expand_runs(self.spec).runs, *self.trial_source.known_runs(self.history)))

    def apply(self, kind, **fields):
        self.history.apply({"event": kind, "time": "now", **fields})

    def take(self, runs):
        for run in runs:
            self.runs.append(run)
            if run.id not in self.history.runs:
                self.apply("run", **event_from_run(run, 1))

    def ask(self):
        """Return the next round, written down but not trained."""
        asked = self.trial_source.ask(self.history, self.runs)
        if asked is not None:
            self.apply("asked", **asked.event)
            self.take(asked.runs)
        return asked

    def train(self, status=RunStatus.FINISHED):
        for run in self.runs:
            if not self.history.runs[run.id].status.is_final:
                figure = self.figure(run)
                if figure is not None:
                    record = EpochRecord(run.id, 1, standard_metrics(1.0, 0.5, 1.0, figure), 1.0, 1.0, 0.1, 1)
                    self.apply("epoch", **event_from_record(record, None))
                self.apply("ended", run=run.id, status=str(status), cause=None)

    def to_the_end(self):
        """Return the sizes of all rounds."""
        sizes = []
        self.train()
        while (asked := self.ask()) is not None:
            sizes.append(len(asked.event["picks"]))
            self.train()
        return sizes

    def told(self):
        """Return what the next round is told, in short."""
        return [(round(one.suggestion["lr"], 6), one.value, one.curve) for one in self.heard()]

    def heard(self):
        """Return what the next round is told."""
        heard = []

        class Listening:
            learns, uses_running = True, True
            runs, seed = self.trial_source._sampler.runs, self.trial_source._sampler.seed
            round = self.trial_source._sampler.round

            def suggest(self, space, told, drawn, count):
                heard.append((list(told), drawn))
                return [{"lr": 0.2 - drawn / 1000 - n / 10_000, "optimizer": 0, "momentum": 0.0} for n in range(count)]

        before, self.trial_source._sampler = self.trial_source._sampler, Listening()
        self.trial_source.ask(self.history, self.runs)
        self.trial_source._sampler = before
        return heard[0][0]

    @property
    def drawn(self):
        return [asked.drawn for asked in self.history.rounds]

    @property
    def trial_ids(self):
        return [trial_id for asked in self.history.rounds for trial_id in asked.trial_ids]


def test_a_grid_asks_for_nothing():
    search = Search(FINITE)
    assert len(search.runs) == 6
    assert (search.ask(), search.trial_source.runs_to_come(search.history)) == (None, 0)


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_what_learns_nothing_asks_once_for_all_also_while_others_train(method):
    search = Search(searching(method) + "seeds: 3\ninclude: [{lr: 0.1, optimizer: adam}]\n")
    assert search.trial_source.runs_to_come(search.history) == 15
    asked = search.ask()  # the included ones wait
    assert (len(asked.event["picks"]), len(asked.runs)) == (5, 15)
    assert (search.ask(), search.trial_source.runs_to_come(search.history)) == (None, 0)


def test_what_learns_waits_for_results():
    search = Search(searching("tpe", 30) + "include: [{lr: 0.1, optimizer: adam}]\n")
    assert search.ask() is None
    search.train()
    assert len(search.ask().event["picks"]) == FIRST_ROUND
    assert search.ask() is None
    search.train()
    assert len(search.ask().event["picks"]) == 1  # alone, as far as the journal says


def test_rounds_are_as_large_as_groups_or_as_the_file_says():
    assert Search(searching("tpe", 7, ", round: 3")).to_the_end() == [3, 3, 1]
    search = Search(searching("tpe", 22) + "seeds: 2\n")
    group = {"programs": [[["a"], ["b"], ["c"]], [["d"], ["e"], ["f"], ["g"]]], "threaded": False, "why": "",
             "step_s": None}  # fmt: skip
    search.apply("planned", groups=[group], conditions={})
    assert search.to_the_end() == [10, 3, 3, 3, 3]  # 7 trajectories are 3 trials


def test_every_place_has_settings_to_train():
    search = Search(searching("tpe", 30))
    groups = [{"programs": [[[run] for run in runs]], "threaded": False, "why": "", "step_s": None}
              for runs in ("a", "bcd", "ef")]  # fmt: skip
    search.apply("planned", groups=groups, conditions={"places": 2})
    search.train()
    search.ask()
    search.train()
    assert len(search.ask().event["picks"]) == 5
    search.apply("planned", groups=groups, conditions={"places": 8})
    search.train()
    assert len(search.ask().event["picks"]) == 8


@pytest.mark.parametrize("method", ["random", "sobol", "tpe", "cmaes", "gp"])
def test_more_runs_keep_the_first_ones_and_a_resume_at_any_point_asks_alike(method):
    more = ", round: 3" if method in ("tpe", "cmaes", "gp") else ""
    whole = Search(searching(method, 7, more))
    whole.to_the_end()
    assert len(set(whole.trial_ids)) == 7
    first = Search(searching(method, 4, more))
    first.to_the_end()
    second = Search(searching(method, 7, more), first.history)
    second.to_the_end()
    assert second.trial_ids[:3] == whole.trial_ids[:3]
    if not more:
        assert second.trial_ids == whole.trial_ids
    for rounds in range(len(whole.history.rounds)):
        again = Search(searching(method, 7, more))
        for _ in range(rounds):
            again.ask()
            again.train()
        resumed = Search(searching(method, 7, more), again.history)
        assert resumed.runs == again.runs
        resumed.to_the_end()
        assert resumed.history.rounds == whole.history.rounds
    assert Search(searching(method, 2, more), whole.history).ask() is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[adam, sgd]", "[adam, sgd, adamw]"),
        ("0.3]}", "0.2]}"),
        ("seed: 1", "seed: 2"),
        ("epochs: 2", "epochs: 3"),
        ("model: cnn", "model: {name: cnn, hidden: [4]}"),
        ("when:", "exclude: [{lr: '> 0.29'}]\nwhen:"),
        ("{optimizer: sgd}", "{optimizer: sgd, lr: '< 0.05'}"),
        ("random", "sobol"),
    ],
)
def test_rounds_of_another_space_do_not_count(before, after):
    text = searching("random", 5, ", seed: 1")
    assert before in text
    old = Search(text)
    old.to_the_end()
    new = Search(text.replace(before, after), old.history)
    assert (new.runs, new.trial_source.runs_to_come(new.history)) == ([], 5)
    assert new.to_the_end() == [5]
    assert new.drawn[-1] >= 5  # counted from the start
    back = Search(text, new.history)
    assert [run.id for run in back.runs] == [run.id for run in old.runs]
    assert back.ask() is None


@pytest.mark.parametrize("more", ["seeds: 2\n", "include: [{lr: 0.1, optimizer: adam}]\n", "tensorboard: false\n"])
def test_rounds_of_the_same_space_count_whatever_else_is_edited(more):
    old = Search(searching())
    old.to_the_end()
    new = Search(searching() + more, old.history)
    assert {run.id for run in old.runs} <= {run.id for run in new.runs}
    assert new.trial_source.runs_to_come(new.history) == 0


def test_what_is_said_where_it_was_the_default_is_the_same_space():
    old = Search(searching())
    old.to_the_end()
    assert Search(searching().replace("epochs: 2", "epochs: 2\n  shuffle: true"), old.history).ask() is None


def test_keys_that_do_not_apply_are_left_out_and_make_no_further_setting():
    text = searching("random", 50, text=FINITE.replace("[adam, sgd]}", "[adam, sgd], momentum: [0, 0.5, 0.9]}"))
    search = Search(text + "when: {momentum: {optimizer: sgd}}\n")
    assert search.trial_source.runs_to_come(search.history) == 12  # 3 × (adam, sgd with 3 momenta)
    assert search.trial_source.space_note == "the search asks for 50 trials, but there are only 12 trials to try"
    assert search.to_the_end() == [12]
    assert (search.ask(), search.trial_source.runs_to_come(search.history)) == (None, 0)
    assert {run.params["momentum"] for run in search.runs if run.params["optimizer"] == "adam"} == {None}


@pytest.mark.parametrize("method", ["sobol", "tpe", "gp"])
def test_a_small_space_comes_to_its_end(method):
    search = Search(searching(method, 50, text=FINITE))
    assert sum(search.to_the_end()) == 6
    assert search.trial_source.runs_to_come(search.history) == 0


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_small_space_of_steps_is_counted_and_tried_to_its_end(method):
    space = (
        "name: s\ndataset: shapes\nmodel: cnn\nexclude: [{lr: '> 0.45'}]\n"
        "params:\n  lr: {uniform: [0.1, 0.5], step: 0.1}\n  batch_size: {log_integer: [8, 9]}\n"
        "  momentum: [0, 0.9]\n  optimizer: [adam, sgd]\n"
    )
    search = Search(searching(method, 500, text=space))
    assert search.trial_source.runs_to_come(search.history) == 24  # 4 rates × 2 sizes × (adam, sgd with 2 momenta)
    assert sum(search.to_the_end()) == 24
    assert {run.hyperparameters.lr for run in search.runs} == {0.1, 0.2, 0.3, 0.4}


def test_what_is_to_come_leaves_out_settings_of_include_and_counts_seeds():
    text = searching("random", 9, text=FINITE) + "include: [{lr: 0.01, optimizer: adam}]\nseeds: 2\n"
    search = Search(text)
    assert search.trial_source.runs_to_come(search.history) == 10  # 6 trials but the one included, twice
    assert Search(text.replace("runs: 9", "runs: 3")).trial_source.runs_to_come(search.history) == 6
    assert Search(text.replace("runs: 9", "runs: 3")).trial_source.space_note is None


def test_what_is_excluded_or_included_is_drawn_and_refused():
    search = Search(
        searching("random", 9, text=FINITE) + "exclude: [{lr: 0.1}]\ninclude: [{lr: 0.01, optimizer: adam}]\n"
    )
    assert sum(search.to_the_end()) == 3
    assert {run.hyperparameters.lr for run in search.runs} == {0.01, 0.001}
    assert len({run.trial_id for run in search.runs}) == len(search.runs) == 4


def test_a_space_of_which_nothing_is_left_asks_for_nothing():
    search = Search(searching("tpe", 9, text=FINITE) + "exclude: [{lr: '> 0'}]\n")
    assert search.to_the_end() == [0]


def test_a_search_is_told_what_became_of_settings_each_once():
    text = (
        searching("tpe", 9, ", round: 2")
        + "seeds: 2\ninclude: [{lr: 0.1, optimizer: adam}, {lr: 0.7, optimizer: adam}]\n"
    )
    figures = {}
    search = Search(text, figure=lambda run: figures.get(run.hyperparameters.lr, run.hyperparameters.lr))
    search.train()
    search.ask()
    lrs = [run.hyperparameters.lr for run in search.runs[4::2]]
    figures[lrs[0]] = None  # has no epoch at all
    search.train(RunStatus.STOPPED)
    told = search.told()
    assert told[0] == (0.1, 0.1, {})
    assert told[1] == (round(lrs[0], 6), None, {})  # 0.7 is outside of the space, and nothing is learnt from it
    assert told[2] == (round(lrs[1], 6), pytest.approx(lrs[1]), {1: pytest.approx(lrs[1])})
    assert len(told) == 3
    included = text.replace("include: [", f"include: [{{lr: {lrs[1]!r}, optimizer: adam}}, ")
    if search.runs[6].params["optimizer"] == "adam":
        assert len(Search(included, search.history).told()) == 3


def test_seeds_that_are_no_longer_asked_for_are_not_waited_for():
    search = Search(searching("tpe", 9, ", round: 2") + "seeds: 2\n")
    search.ask()
    for run in search.runs[::2]:  # the second seed of each is never trained
        record = EpochRecord(run.id, 1, standard_metrics(1.0, 0.5, 1.0, 0.25), 1.0, 1.0, 0.1, 1)
        search.apply("epoch", **event_from_record(record, None))
        search.apply("ended", run=run.id, status="finished", cause=None)
    fewer = Search(searching("tpe", 9, ", round: 2") + "seeds: [0]\n", search.history)
    assert [value for _, value, _ in fewer.told()] == [0.25, 0.25]


def test_a_setting_one_of_whose_seeds_failed_is_told_by_the_others_and_one_that_failed_whole_by_none():
    search = Search(searching("tpe", 9, ", round: 2") + "seeds: 2\n", figure=lambda _: None)
    search.ask()
    record = EpochRecord(search.runs[0].id, 1, standard_metrics(1.0, 0.5, 1.0, 0.25), 1.0, 1.0, 0.1, 1)
    search.apply("epoch", **event_from_record(record, None))
    search.apply("ended", run=search.runs[0].id, status="finished", cause=None)
    search.train(RunStatus.FAILED)
    assert [value for _, value, _ in search.told()] == [0.25, None]


def test_folders_are_named_apart_from_all_that_are_there():
    search = Search(searching())
    search.to_the_end()
    names = [run.name for run in search.runs]
    assert len(set(names)) == len(names)


def test_what_chance_leaves_out_of_a_small_space_is_found_all_the_same():
    lrs = ", ".join(f"{number / 1e4}" for number in range(1, 1_001))
    text = searching("random", 3, text=FINITE.replace("[0.1, 0.01, 0.001]", f"[{lrs}]"))
    search = Search(text + "exclude: [{lr: '> 0.00011'}]\n")  # two of two thousand are allowed
    assert sum(search.to_the_end()) == 2
    assert search.trial_source.runs_to_come(search.history) == 0


RUNGS = "early_stop: halving\n"


class Underway(Search):
    """A search in which runs go on for an epoch and wait."""

    def goes_on(self, number, *figures):
        run = self.runs[number]
        for figure in figures:
            epoch = len(self.history.runs[run.id].records) + 1
            record = EpochRecord(run.id, epoch, standard_metrics(1.0, 0.5, 1.0, figure), 1.0, 1.0, 0.1, 1)
            self.apply("epoch", **event_from_record(record, None))

    def ends(self, *numbers, status=RunStatus.STOPPED):
        for number in numbers:
            self.apply("ended", run=self.runs[number].id, status=str(status), cause=None)


def test_when_half_of_what_trains_at_once_has_ended_others_are_asked_for():
    search = Underway(searching("tpe", 20, ", round: 4", SPACE.replace("epochs: 2", "epochs: 9")) + RUNGS)
    assert len(search.ask().event["picks"]) == 4
    for number in range(4):
        search.goes_on(number, 0.1 * number)
    search.ends(0)
    assert search.ask() is None
    search.ends(1)
    assert len(search.ask().event["picks"]) == 2
    assert search.ask() is None
    assert len(search.runs) == 6


def test_settings_on_their_way_are_told_with_what_they_have_reached():
    search = Underway(searching("tpe", 20, ", round: 4", SPACE.replace("epochs: 2", "epochs: 9")) + RUNGS)
    search.ask()
    for number in range(4):
        search.goes_on(number, 0.1 * number)
    search.ends(0, 1)
    search.goes_on(3, 0.5)
    told = search.heard()[:4]
    assert [(one.value, dict(one.curve), one.is_pending) for one in told] == [
        (0.0, {1: 0.0}, False),
        (0.1, {1: 0.1}, False),
        (0.2, {1: 0.2}, False),
        (0.5, {1: pytest.approx(0.3), 2: 0.5}, False),
    ]
    search.ask()
    search.ends(2, 3)
    assert [(one.value, one.is_pending) for one in search.heard()[4:6]] == [(None, True)] * 2


@pytest.mark.parametrize(
    ("method", "rule", "expected"),
    [
        ("tpe", "halving", True),
        ("gp", "hyperband", True),
        ("tpe", "median", False),  # it judges every trial by itself
        ("cmaes", "halving", False),  # a generation is judged as a whole
        ("random", "halving", False),  # all of its trials are known beforehand
    ],
)
def test_who_asks_in_passing(method, rule, expected):
    text = searching(method, 8) + f"early_stop: {rule}\n"
    assert TrialSource(parse_sweep(text, "s.yaml")).is_asynchronous is expected
