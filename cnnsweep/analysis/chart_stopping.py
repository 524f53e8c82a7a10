"""Trials that a pruner stopped: the epoch and threshold of each stop, and the saved epochs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.results import Results, Stop
from cnnsweep.analysis.trials import Trial, all_words
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, duration_text, metric_text, metric_texts, trial_text


@dataclass(frozen=True, slots=True)
class StoppedTrial:
    """One trial: its metric and the threshold, as different texts if the values differ."""

    words: str
    epoch: int
    value: str
    threshold: str
    rule: str
    is_equal: bool  # it reached the threshold, but better trials took all slots

    @property
    def text(self) -> str:
        """`0.5500, needed 0.6100`."""
        return f"{self.value}, {'as others that continued' if self.is_equal else f'needed {self.threshold}'}"


@dataclass(frozen=True, slots=True)
class StopEpoch:
    """One epoch: trials that trained in it and continued, and trials that were stopped after it.

    Attributes:
        against: `val_accuracy below 0.6100 to 0.7100`, since thresholds move while trials come in; empty if unknown.
    """

    epoch: int
    went_on: int
    stopped: tuple[StoppedTrial, ...]
    against: str

    @property
    def count_text(self) -> str:
        return f"{count_text(len(self.stopped), 'trial')} stopped after epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class StoppingChart:
    """Early stopping over the epochs.

    Attributes:
        epochs: all of them, from the first.
        best: the stopped trials as ranked.
        rule: the pruner's method with its options; empty if unknown.
        saving: `saved 148 of 252 epochs (59 %), about 2.0 s`.
    """

    metric: str
    epochs: tuple[StopEpoch, ...]
    best: tuple[StoppedTrial, ...]
    trials: int
    rule: str
    saving: str

    @property
    def stops(self) -> list[StopEpoch]:
        """The epochs after which trials were stopped."""
        return [one for one in self.epochs if one.stopped]

    @property
    def diagnostic(self) -> str:
        rule = f" by {self.rule}" if self.rule else ""
        return f"{count_text(len(self.best), 'trial')} of {self.trials:,} stopped early{rule}: {self.saving}."


def stopping_chart(results: Results, trials: Sequence[Trial]) -> StoppingChart | None:
    """Return the chart; None if no trial was stopped.

    Args:
        trials: as `group_trials` returns them.
    """
    lasts = [max(run.epochs_done for run in trial.runs) for trial in trials]
    # The runs of a trial are compared together, so they stop together and for one reason.
    stops = [next((run.stop for run in trial.runs if run.stop), None) for trial in trials]
    if not any(stops):
        return None
    words = all_words(results, trials)
    metric = results.sweep.objective.metric
    epochs = []
    for epoch in range(1, max(lasts) + 1):
        ended = [(word, stop) for word, stop in zip(words, stops, strict=True) if stop and stop.epoch == epoch]
        stopped = tuple(_stopped(metric, word, stop) for word, stop in ended)
        training = sum(last >= epoch for last in lasts)
        against = _against(results, [stop for _, stop in ended])
        epochs.append(StopEpoch(epoch, training - len(stopped), stopped, against))
    best = tuple(_stopped(metric, word, stop) for word, stop in zip(words, stops, strict=True) if stop)
    rule = rule_words(results.sweep.early_stop)
    return StoppingChart(metric, tuple(epochs), best, len(trials), rule, saving_words(results))


def _stopped(metric: str, words: str, stop: Stop) -> StoppedTrial:
    value, threshold = metric_texts(metric, [stop.value, stop.threshold])
    return StoppedTrial(words, stop.epoch, value, threshold, _short_rule(stop), stop.value == stop.threshold)


def _against(results: Results, stops: Sequence[Stop]) -> str:
    metric = results.sweep.objective.metric
    known = sorted(stop.threshold for stop in stops if stop.threshold is not None)
    if not known:
        return ""
    low, high = (metric_text(metric, value) for value in (known[0], known[-1]))
    side = "below" if results.sweep.objective.mode == "max" else "above"
    # Only some of the trials that reach the threshold continue; the others were not better.
    if any(stop.value == stop.threshold for stop in stops):
        side = "not better than"
    return f"{metric} {side} {low}{'' if low == high else f' to {high}'}"


@dataclass(frozen=True, slots=True)
class Saving:
    """Savings of pruning. `seconds` is an estimate: each run's epochs left at its own mean epoch time."""

    epochs: int
    planned: int  # epochs of all runs, including stopped ones
    seconds: float


def saving(results: Results) -> Saving:
    """Return the epochs and the time that were saved by stopping runs early.

    A run without a known number of planned epochs counts with its trained epochs.
    """
    epochs, planned, seconds = 0, 0, 0.0
    for run in results.runs:
        length = max(run.epochs_planned or 0, run.epochs_done)
        planned += length
        if run.stop and run.epochs_done:
            left = max(length - run.epochs_done, 0)
            epochs += left
            seconds += left * (run.run_duration or 0.0) / run.epochs_done
    return Saving(epochs, planned, seconds)


def saving_words(results: Results) -> str:
    """Return `saved 148 of 252 epochs (59 %), about 2.0 s`."""
    saved = saving(results)
    share = f" ({saved.epochs / saved.planned:.0%})".replace("%", " %") if saved.planned else ""
    time = f", about {duration_text(saved.seconds)}" if saved.seconds else ""
    return f"saved {saved.epochs:,} of {count_text(saved.planned, 'epoch')}{share}{time}"


def stop_words(results: Results, stop: Stop) -> str:
    """Return the reason: `val_accuracy 0.5500 after epoch 1, below 0.6100 (top 1/3 of 9 trials)`."""
    metric = results.sweep.objective.metric
    value, threshold = metric_texts(metric, [stop.value, stop.threshold])
    figure = "no finite metric" if stop.value is None else f"{metric} {value}"
    against = ""
    if stop.threshold is not None and stop.value is not None:
        against = f", {_side(results, stop)} {threshold}"
    rule = _short_rule(stop)
    # The pruner's reason may state the number of trials already.
    is_told = stop.compared <= 1 or re.search(r"\b(trial|setting)s?\b", rule) is not None  # setting: earlier journals
    compared = "" if is_told else f", {count_text(stop.compared, 'trial')} compared"
    return f"{figure} after epoch {stop.epoch}{against} ({rule}{compared})"


def _side(results: Results, stop: Stop) -> str:
    if stop.value is not None and stop.value == stop.threshold:
        return "not better than"
    return "below" if results.sweep.objective.mode == "max" else "above"


def _short_rule(stop: Stop) -> str:
    """Return the pruner's reason without the epoch, which is shown beside it."""
    return safe_text(stop.rule).removesuffix(f" at epoch {stop.epoch}")


def rule_words(rule: Mapping[str, Any] | None) -> str:
    """Return the method with its options, `halving factor=3`; empty without one."""
    if not rule:
        return ""
    rest = " ".join(f"{safe_text(k)}={trial_text(v)}" for k, v in rule.items() if k != "method" and v is not None)
    return f"{trial_text(rule.get('method', ''))} {rest}".strip()
