"""What an early-stopping rule ended: when, against which threshold, and what that saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from cnnsweep.display.figures import count_text, duration_text, figure_text, setting_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.report.ranking import run_words
from cnnsweep.report.results import Results, RunResult, Stop

EXAMPLES_SHOWN = 3
EPOCHS_SHOWN = 6  # lines, one an epoch after which runs were stopped


@dataclass(frozen=True, slots=True)
class Saving:
    """What early stopping saved. `seconds` is an estimate: each run's epochs left at its own mean epoch time."""

    epochs: int
    planned: int  # epochs of all runs, those stopped included
    seconds: float


def saving(results: Results) -> Saving:
    """Return what was saved by stopping runs early.

    A run's planned epochs are its setting `epochs`, or else the most that a finished run has trained.
    """
    longest = max((run.epochs_done for run in results.runs if not run.stop), default=0)
    epochs, planned, seconds = 0, 0, 0.0
    for run in results.runs:
        own = run.settings.get("epochs")
        length = own if isinstance(own, int) and not isinstance(own, bool) else max(longest, run.epochs_done)
        planned += length
        if run.stop and run.epochs_done:
            left = max(length - run.epochs_done, 0)
            epochs += left
            seconds += left * (run.run_duration or 0.0) / run.epochs_done
    return Saving(epochs, planned, seconds)


def stopping(results: Results) -> RenderableType | None:
    """Return what was stopped early, by epoch, with a few examples, or None if nothing was."""
    stopped = [(run, run.stop) for run in results.runs if run.stop]
    if not stopped:
        return None
    by_epoch: dict[int, list[tuple[RunResult, Stop]]] = {}
    for run, stop in stopped:
        by_epoch.setdefault(stop.epoch, []).append((run, stop))
    title = Text.assemble(("Early stopping", "bold"), (_rule_words(results.sweep.early_stop), "dim"))
    lines: list[RenderableType] = [title]
    epochs = sorted(by_epoch)
    for epoch in epochs[:EPOCHS_SHOWN]:
        stops = [stop for _, stop in by_epoch[epoch]]
        rules = list(dict.fromkeys(safe_text(stop.rule) for stop in stops))
        rule = f", by {rules[0]}" if len(rules) == 1 else ""
        lines.append(Text(f"{_count(by_epoch[epoch])} stopped after epoch {epoch}{_thresholds(results, stops)}{rule}"))
    if len(epochs) > EPOCHS_SHOWN:
        rest = [entry for epoch in epochs[EPOCHS_SHOWN:] for entry in by_epoch[epoch]]
        lines.append(Text(f"{_count(rest)} stopped later, after epochs {epochs[EPOCHS_SHOWN]} to {epochs[-1]}"))
    saved = saving(results)
    time = f", about {duration_text(saved.seconds)}" if saved.seconds else ""
    lines.append(Text(f"saved {saved.epochs:,} of {count_text(saved.planned, 'epoch')}{time}"))
    first = list({(run.configuration, stop.epoch): (run, stop) for run, stop in reversed(stopped)}.values())[::-1]
    examples = [f"{run_words(results, run)}: {stop_words(results, stop)}" for run, stop in first[:EXAMPLES_SHOWN]]
    if len(stopped) > len(examples):
        examples.append(f"… and {len(stopped) - len(examples):,} more: --run NAME tells of each")
    return Group(*lines, *(Padding(Text(example, "dim"), (0, 0, 0, 2)) for example in examples))


def _count(stopped: Sequence[tuple[RunResult, Stop]]) -> str:
    """Return `12 runs`, or `15 runs of 3 settings` where settings have several."""
    settings = len({run.configuration for run, _ in stopped})
    of = f" of {count_text(settings, 'setting')}" if settings < len(stopped) else ""
    return f"{count_text(len(stopped), 'run')}{of}"


def stop_words(results: Results, stop: Stop) -> str:
    """Return why one run was stopped: `val_accuracy 0.5500 after epoch 1, below 0.6100 (top 1/3 at epoch 1 of 9)`."""
    metric = results.sweep.objective.metric
    figure = "no finite figure" if stop.value is None else f"{metric} {figure_text(metric, stop.value)}"
    against = ""
    if stop.threshold is not None and stop.value is not None:
        against = f", {_side(results, stop)} {figure_text(metric, stop.threshold)}"
    compared = f", {count_text(stop.compared, 'setting')} compared" if stop.compared > 1 else ""
    return f"{figure} after epoch {stop.epoch}{against} ({safe_text(stop.rule)}{compared})"


def _side(results: Results, stop: Stop) -> str:
    if stop.value is not None and stop.value == stop.threshold:
        return "not better than"
    return "below" if results.sweep.objective.mode == "max" else "above"


def _thresholds(results: Results, stops: list[Stop]) -> str:
    """Return ` (val_accuracy below 0.6100 to 0.7100)`; thresholds move while settings come in."""
    metric = results.sweep.objective.metric
    known = sorted(stop.threshold for stop in stops if stop.threshold is not None)
    if not known:
        return ""
    low, high = (figure_text(metric, value) for value in (known[0], known[-1]))
    side = "below" if results.sweep.objective.mode == "max" else "above"
    return f" ({metric} {side} {low}{'' if low == high else f' to {high}'})"


def _rule_words(rule: Mapping[str, Any] | None) -> str:
    if not rule:
        return ""
    rest = " ".join(f"{safe_text(k)}={setting_text(v)}" for k, v in rule.items() if k != "method" and v is not None)
    return f"  {setting_text(rule.get('method', ''))} {rest}".rstrip()
