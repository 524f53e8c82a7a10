"""Evaluations of checkpoints as JSON and in the terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import images_text
from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.run_evaluation import VERSION, WrongImage
from cnnsweep.analysis.statistics import Estimate, estimate, wilson
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, metric_text, trials_text
from cnnsweep.report.class_tables import class_tables
from cnnsweep.storage.atomic_files import to_json


@dataclass(frozen=True, slots=True)
class Evaluation(Confused):
    """A checkpoint measured on one part of its data set.

    Attributes:
        split: test, val or train.
        loss: mean of the run's own loss, without label smoothing.
        confusion: counts, one row a true class, one column a predicted class.
        notes: warnings about the metrics.
        wrong: some of the misclassified images, the most confident mistakes first.
        metrics: further metrics by name.
    """

    checkpoint: str
    run: str
    epoch: int
    split: str
    loss: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    params: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    wrong: tuple[WrongImage, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        return self.correct / self.images


@dataclass(frozen=True, slots=True)
class TrialEvaluation:
    """A trial measured by the checkpoints of all its seeds and folds.

    Attributes:
        evaluations: one per run, all on the same images.
        overlap: the overlap of the folds' training images, see `statistics.estimate`.
        is_refit: these were trained on training and validation images together.
    """

    trial_id: str
    evaluations: tuple[Evaluation, ...]
    overlap: float = 0.0
    notes: tuple[str, ...] = ()
    is_refit: bool = False

    @property
    def accuracy(self) -> Estimate:
        """The mean over the runs, with the 95 % interval of the mean over all seeds, within 0 and 1."""
        found = estimate([one.accuracy for one in self.evaluations], self.overlap)
        if found.low is None or found.high is None:
            return found
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))

    @property
    def together(self) -> Evaluation:
        """All runs as one evaluation: their counts summed, their losses and further metrics averaged."""
        first = self.evaluations[0]
        tables = zip(*(one.confusion for one in self.evaluations), strict=True)
        confusion = tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in tables)
        loss = fmean(one.loss for one in self.evaluations)
        metrics = {name: fmean(one.metrics[name] for one in self.evaluations) for name in self._common_metrics}
        notes = (*self.notes, *first.notes)
        return replace(first, loss=loss, confusion=confusion, notes=notes, metrics=metrics)

    @property
    def _common_metrics(self) -> list[str]:
        return [name for name in self.evaluations[0].metrics if all(name in one.metrics for one in self.evaluations)]


def trial_to_json(trial: TrialEvaluation) -> str:
    """Return every metric of every run as JSON, and the mean accuracy with its interval."""
    accuracy = trial.accuracy
    mean = {"mean": accuracy.mean, "low": accuracy.low, "high": accuracy.high, "runs": accuracy.count}
    content = {
        "configuration": trial.trial_id,
        "refit": trial.is_refit,
        "accuracy": mean,
        "notes": list(trial.notes),
        "runs": [_to_mapping(one) for one in trial.evaluations],
    }
    return json.dumps(content, indent=2)  # ASCII cannot control a terminal


def evaluation_to_json(evaluation: Evaluation) -> str:
    """Return every metric as JSON."""
    return json.dumps(_to_mapping(evaluation), indent=2)  # ASCII cannot control a terminal


def evaluation_file(evaluation: Evaluation) -> str:
    """Return the text of `evaluation.json`, which `run_evaluation` reads."""
    content = {
        "version": VERSION,
        "run": evaluation.run,
        "epoch": evaluation.epoch,
        "split": evaluation.split,
        "accuracy": evaluation.accuracy,
        "loss": evaluation.loss,
        "classes": list(evaluation.classes),
        "confusion": [list(row) for row in evaluation.confusion],
        "wrong": [
            {
                "index": one.index,
                "label": one.label,
                "predicted": one.predicted,
                "probability": one.probability,
                "png": base64.b64encode(one.png).decode("ascii"),
            }
            for one in evaluation.wrong
        ],
        **({"metrics": dict(evaluation.metrics)} if evaluation.metrics else {}),
    }
    return to_json(content) + "\n"


def _to_mapping(evaluation: Evaluation) -> dict[str, Any]:
    names = evaluation.classes
    low, high = wilson(evaluation.correct, evaluation.images)
    return {
        "checkpoint": evaluation.checkpoint,
        "run": evaluation.run,
        "epoch": evaluation.epoch,
        "settings": dict(evaluation.params),
        "split": evaluation.split,
        "images": evaluation.images,
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "classes": list(names),
        "class_accuracy": dict(zip(names, evaluation.class_accuracies(), strict=True)),
        "confusion": [list(row) for row in evaluation.confusion],
        "most_confused": [
            {"true": true, "predicted": predicted, "images": images}
            for true, predicted, images in evaluation.most_confused(10)
        ],
        "notes": list(evaluation.notes),
        **({"metrics": dict(evaluation.metrics)} if evaluation.metrics else {}),
    }


def render_trial(trial: TrialEvaluation, console: Console) -> None:
    """Print the evaluation of a trial: one line per run, then all together."""
    if len(trial.evaluations) == 1:
        render_evaluation(trial.together, console)
        return
    together, accuracy = trial.together, trial.accuracy
    words = trials_text(together.params, [name for name in together.params if name not in ("seed", "fold")])
    refit = ", trained on training and validation images" if trial.is_refit else ""
    console.print(Text(safe_text(words), style="bold"))
    console.print(
        Text.assemble(
            (f"{accuracy.mean:.2%}", "bold green"),
            f" of {images_text(trial.evaluations[0])} are right, the mean of "
            f"{count_text(accuracy.count, 'run')}{refit}{_interval_words(accuracy)}; loss {together.loss:.4f}"
            f"{_metric_words(together)}",
        )
    )
    for note in together.notes:
        console.print(Text(f"note: {safe_text(note)}", style="magenta"))
    console.print()
    console.print(_runs_table(trial))
    for part in class_tables(together, console):
        console.print()
        console.print(part)


def _metric_words(evaluation: Evaluation) -> str:
    """Return the further metrics: `, top_5 0.9812`."""
    values = [f"{safe_text(name)} {metric_text(name, value)}" for name, value in evaluation.metrics.items()]
    return "".join(f", {one}" for one in values)


def _interval_words(accuracy: Estimate) -> str:
    if accuracy.low is None or accuracy.high is None:
        return ""  # all runs have equal accuracy, so the spread is unknown
    return f"; 95 % interval {accuracy.low:.2%} to {accuracy.high:.2%}"


def _runs_table(trial: TrialEvaluation) -> Table:
    table = Table(box=None, padding=(0, 1))
    for heading in ("run", "epoch", "accuracy", "95 %", "loss"):
        table.add_column(heading, justify="left" if heading == "run" else "right", no_wrap=True)
    for one in trial.evaluations:
        low, high = wilson(one.correct, one.images)
        name = Text(_replicate_words(one), no_wrap=True, overflow="ellipsis")
        table.add_row(name, str(one.epoch), f"{one.accuracy:.2%}", f"{low:.2%} to {high:.2%}", f"{one.loss:.4f}")
    return table


def _replicate_words(one: Evaluation) -> str:
    """Return `seed 0`, `fold 1` or `seed 0, fold 1`; the name if neither is known."""
    known = [f"{key} {safe_text(one.params[key])}" for key in ("seed", "fold") if one.params.get(key) is not None]
    return ", ".join(known) or safe_text(one.run)


def render_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print an evaluation."""
    low, high = wilson(evaluation.correct, evaluation.images)
    console.print(Text(f"{safe_text(evaluation.run)}, epoch {evaluation.epoch}", style="bold"), soft_wrap=True)
    console.print(
        Text.assemble(
            (f"{evaluation.accuracy:.2%}", "bold green"),
            f" of {images_text(evaluation)} are right ({evaluation.correct:,}), 95 % interval {low:.2%} to "
            f"{high:.2%}; loss {evaluation.loss:.4f}{_metric_words(evaluation)}",
        )
    )
    for note in evaluation.notes:
        console.print(Text(f"note: {safe_text(note)}", style="magenta"))
    for part in class_tables(evaluation, console):
        console.print()
        console.print(part)
