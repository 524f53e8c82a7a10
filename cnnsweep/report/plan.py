"""Plan of a sweep, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import bytes_text, count_text, estimate_text
from cnnsweep.planning.cost import Forecast, GroupCost
from cnnsweep.report.timeline import end_text, percent_text, render_bars, schedule_to_json
from cnnsweep.types import PartCounts


def render_plan(forecast: Forecast, console: Console, now: datetime) -> None:
    """Print the groups with their reasons, their devices if there are several, and the total cost."""
    runs = sum(len(cost.group.runs) for cost in forecast.groups)
    done = f", {count_text(forecast.done, 'run')} done already" if forecast.done else ""
    to_come = f", {count_text(forecast.to_come, 'run')} to be chosen later" if forecast.to_come else ""
    title = (
        f"{safe_text(forecast.name)}: {count_text(runs, 'run')} to train on {safe_text(forecast.device)}{done}{to_come}"
    )
    console.print(Text(title, style="bold"))
    for line in forecast.data:
        console.print(Text(safe_text(line), style="dim"))
    for note in forecast.notes:
        console.print(Text(safe_text(note)))
    if not runs:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("runs", "time", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("batch", justify="right", no_wrap=True)
    table.add_column("how")
    for alike in _alike(forecast.groups):
        first = alike[0]
        seconds = [cost.seconds for cost in alike if cost.seconds is not None]
        table.add_row(
            str(sum(len(cost.group.runs) for cost in alike)),
            estimate_text(sum(seconds) if len(seconds) == len(alike) else None),
            bytes_text(first.memory_bytes),
            Text(safe_text(first.group.runs[0].model.name)),
            str(first.group.runs[0].hyperparameters.batch_size),
            Text(safe_text(_how(first))),
        )
    console.print(table)
    if forecast.schedule is not None:
        render_bars(forecast.schedule, console)
    console.print(_in_all(forecast, now) + (", less what early stopping saves" if forecast.stops_early else ""))


def _in_all(forecast: Forecast, now: datetime) -> str:
    """Return duration, end time, memory and disk, as far as they are known."""
    takes = [f"{bytes_text(forecast.memory_bytes)} of memory"] if forecast.memory_bytes is not None else []
    takes += [f"{bytes_text(forecast.disk_bytes)} of disk"] if forecast.disk_bytes is not None else []
    schedule = forecast.schedule
    if schedule is None:
        end = f" (until {end_text(now, forecast.seconds)})" if forecast.seconds is not None else ""
        time = f"in all about {estimate_text(forecast.seconds)}{end}"
    else:
        time = (
            f"in all about {estimate_text(schedule.makespan_s)} (until {end_text(now, schedule.makespan_s)}), "
            f"{count_text(len(schedule.slots), 'slot')} in training for {percent_text(schedule.utilisation)} of it"
        )
    return f"{time}, {' and '.join(takes)}" if takes else time


def plan_to_json(forecast: Forecast, simulated: Sequence[dict[str, Any]] = ()) -> str:
    """Return the plan as JSON; seconds are null if nothing was measured.

    Args:
        simulated: see `simulation_to_json`.
    """
    groups = [
        {
            "runs": [[run.name for run in runs] for runs in cost.group.trajectories],
            "model": cost.group.runs[0].model.name,
            "batch_size": cost.group.runs[0].hyperparameters.batch_size,
            "together": len(cost.group.trajectories),
            "why": cost.why,
            "seconds": cost.seconds,
            "memory_bytes": cost.memory_bytes,
        }
        for cost in forecast.groups
    ]
    seconds = forecast.seconds if forecast.schedule is None else forecast.schedule.makespan_s
    whole = {"seconds": seconds, "memory_bytes": forecast.memory_bytes, "disk_bytes": forecast.disk_bytes}
    about = {
        "sweep": forecast.name,
        "device": forecast.device,
        "done": forecast.done,
        "to_come": forecast.to_come,
        "stops_early": forecast.stops_early,
        "data": list(forecast.data),
        "notes": list(forecast.notes),
        "classes": _classes_to_json(forecast.counts),
        "baselines": dict(forecast.baselines),
    }
    schedule = None if forecast.schedule is None else schedule_to_json(forecast.schedule)
    placed = {"schedule": schedule, **({"simulated": list(simulated)} if simulated else {})}
    return json.dumps({**about, **whole, "groups": groups, **placed}, indent=2, ensure_ascii=False)


def _classes_to_json(counts: PartCounts | None) -> list[dict[str, Any]]:
    """Return the images of each class by part; empty if no data were loaded."""
    if counts is None:
        return []
    parts = {name: part.counts for name, part in counts.parts.items()}
    return [
        {"name": name, **{part: numbers[position] for part, numbers in parts.items()}}
        for position, name in enumerate(counts.training.classes)
    ]


def _alike(costs: Sequence[GroupCost]) -> list[list[GroupCost]]:
    """Return the groups that share a row: of one model, batch size and group size, for the same reason."""
    alike: dict[object, list[GroupCost]] = {}
    for cost in costs:
        run = cost.group.runs[0]
        key = (
            run.model.name,
            run.hyperparameters.batch_size,
            len(cost.group.trajectories),
            cost.memory_bytes,
            _how(cost),
        )
        alike.setdefault(key, []).append(cost)
    return list(alike.values())


def _how(cost: GroupCost) -> str:
    size, threads = len(cost.group.trajectories), len(cost.group.programs)
    on_threads = f" on {threads} threads" if cost.group.is_threaded else ""
    together = f"{size} at once{on_threads}, {cost.why}" if size > 1 else f"one by one: {cost.why}"
    same = len(cost.group.runs) - size
    return f"{together}; {count_text(same, 'run')} equal except for epochs" if same else together
