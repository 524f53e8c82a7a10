"""What an early-stopping rule ended: when, against which threshold, and what that saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.results import Results, Stop
from cnnsweep.formatting.columns import Column, build_table
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import (
    align_points,
    count_text,
    duration_text,
    figure_text,
    figure_texts,
    setting_text,
    short_name,
)

SETTINGS_SHOWN = 3  # of those stopped, the best
COMFORTABLE_SETTING = 40  # characters, for which the rule's own words go
EPOCHS_SHOWN = 6  # lines, one an epoch after which settings were stopped


@dataclass(frozen=True, slots=True)
class Saving:
    """What early stopping saved. `seconds` is an estimate: each run's epochs left at its own mean epoch time."""

    epochs: int
    planned: int  # epochs of all runs, those stopped included
    seconds: float


def saving(results: Results) -> Saving:
    """Return what was saved by stopping runs early.

    A run of which nothing says how many epochs it was to train counts with those that it has.
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


def stopping(results: Results, settings: Sequence[Setting], width: int) -> RenderableType | None:
    """Return what was stopped early: what that saved, by epoch, and the best settings among them; None if nothing was.

    Args:
        settings: as `group_settings` returns them.
    """
    stopped = [(setting, run.stop) for setting in settings for run in setting.runs[::-1] if run.stop]
    if not stopped:
        return None
    title = Text.assemble(("Early stopping", "bold"), (rule_words(results.sweep.early_stop), "dim"))
    lines: list[RenderableType] = [title, Text(saving_words(results))]
    by_epoch: dict[int, dict[str, Stop]] = {}
    for setting, stop in stopped:
        by_epoch.setdefault(stop.epoch, {})[setting.configuration] = stop
    epochs = sorted(by_epoch)
    for epoch in epochs[:EPOCHS_SHOWN]:
        stops = list(by_epoch[epoch].values())
        count = count_text(len(stops), "setting")
        lines.append(Text(f"{count} stopped after epoch {epoch}{_thresholds(results, stops)}"))
    if len(epochs) > EPOCHS_SHOWN:
        rest = {configuration for epoch in epochs[EPOCHS_SHOWN:] for configuration in by_epoch[epoch]}
        later = f"stopped later, after epochs {epochs[EPOCHS_SHOWN]} to {epochs[-1]}"
        lines.append(Text(f"{count_text(len(rest), 'setting')} {later}"))
    shown = list({setting.configuration: (setting, stop) for setting, stop in stopped}.values())
    lines += [Text(), build_table(_columns(results, shown[:SETTINGS_SHOWN]), width)]
    if len(shown) > SETTINGS_SHOWN:
        lines.append(Text(f"… and {len(shown) - SETTINGS_SHOWN:,} more: --run NAME tells of each", "dim"))
    return Group(*lines)


def _columns(results: Results, shown: Sequence[tuple[Setting, Stop]]) -> list[Column]:
    """Return one row a setting: its runs are judged together, so they stop together and for one reason."""
    metric = results.sweep.objective.metric

    def right(header: str, texts: Sequence[str], drop: int) -> Column:
        return Column(header, [Text(text) for text in align_points(texts)], drop)

    words = [Text(setting_words(results, setting)) for setting, _ in shown]
    pairs = [figure_texts(metric, [stop.value, stop.threshold]) for _, stop in shown]
    rules = [Text(_short_rule(stop), "dim") for _, stop in shown]
    return [
        right("epoch", [str(stop.epoch) for _, stop in shown], 1),
        right(short_name(metric), [value for value, _ in pairs], 0),
        right("needed", [threshold for _, threshold in pairs], 2),
        Column("setting", words, drop=1, justify="left", narrowest=12, comfortable=COMFORTABLE_SETTING),
        Column("rule", rules, drop=7, justify="left"),
    ]


def _short_rule(stop: Stop) -> str:
    """Return the rule without the epoch, which stands beside it."""
    return safe_text(stop.rule).removesuffix(f" at epoch {stop.epoch}")


def saving_words(results: Results) -> str:
    """Return `saved 148 of 252 epochs (59 %), about 2.0 s`."""
    saved = saving(results)
    share = f" ({saved.epochs / saved.planned:.0%})".replace("%", " %") if saved.planned else ""
    time = f", about {duration_text(saved.seconds)}" if saved.seconds else ""
    return f"saved {saved.epochs:,} of {count_text(saved.planned, 'epoch')}{share}{time}"


def stop_words(results: Results, stop: Stop) -> str:
    """Return why one run was stopped: `val_accuracy 0.5500 after epoch 1, below 0.6100 (top 1/3 of 9 settings)`."""
    metric = results.sweep.objective.metric
    value, threshold = figure_texts(metric, [stop.value, stop.threshold])
    figure = "no finite figure" if stop.value is None else f"{metric} {value}"
    against = ""
    if stop.threshold is not None and stop.value is not None:
        against = f", {_side(results, stop)} {threshold}"
    rule = _short_rule(stop)
    # A rule's own words may say already how many settings it looked at.
    is_told = stop.compared <= 1 or "settings" in rule
    compared = "" if is_told else f", {count_text(stop.compared, 'setting')} compared"
    return f"{figure} after epoch {stop.epoch}{against} ({rule}{compared})"


def _side(results: Results, stop: Stop) -> str:
    if stop.value is not None and stop.value == stop.threshold:
        return "not better than"
    return "below" if results.sweep.objective.mode == "max" else "above"


def _thresholds(results: Results, stops: list[Stop]) -> str:
    """Return ` (val_accuracy below 0.6100 to 0.7100)`; thresholds move while settings come in.

    Of settings that reach the threshold only so many go on as there is room for: the others were not better.
    """
    metric = results.sweep.objective.metric
    known = sorted(stop.threshold for stop in stops if stop.threshold is not None)
    if not known:
        return ""
    low, high = (figure_text(metric, value) for value in (known[0], known[-1]))
    side = "below" if results.sweep.objective.mode == "max" else "above"
    if any(stop.value == stop.threshold for stop in stops):
        side = "not better than"
    return f" ({metric} {side} {low}{'' if low == high else f' to {high}'})"


def rule_words(rule: Mapping[str, Any] | None) -> str:
    """Return the rule with its settings, `  halving factor=3`, with two spaces before; empty without one."""
    if not rule:
        return ""
    rest = " ".join(f"{safe_text(k)}={setting_text(v)}" for k, v in rule.items() if k != "method" and v is not None)
    return f"  {setting_text(rule.get('method', ''))} {rest}".rstrip()
