"""What a sweep would do and take, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.display.figures import UNKNOWN, count_text, estimate_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.planning.cost import Forecast, GroupCost


def render_plan(forecast: Forecast, console: Console) -> None:
    """Print the groups with their reasons, and what the whole sweep will take."""
    runs = sum(len(cost.group.runs) for cost in forecast.groups)
    done = f", {count_text(forecast.done, 'run')} done already" if forecast.done else ""
    to_come = f", {count_text(forecast.to_come, 'run')} to be chosen later" if forecast.to_come else ""
    title = (
        f"{safe_text(forecast.name)}: {count_text(runs, 'run')} to train on {safe_text(forecast.device)}{done}{to_come}"
    )
    console.print(Text(title, style="bold"))
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
    console.print(
        f"in all about {estimate_text(forecast.seconds)}, {bytes_text(forecast.memory_bytes)} of memory and "
        f"{bytes_text(forecast.disk_bytes)} of disk"
        + (", less what early stopping saves" if forecast.stops_early else "")
    )


def plan_to_json(forecast: Forecast) -> str:
    """Return the same for programs; seconds are null where nothing was measured."""
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
    whole = {"seconds": forecast.seconds, "memory_bytes": forecast.memory_bytes, "disk_bytes": forecast.disk_bytes}
    about = {
        "sweep": forecast.name,
        "device": forecast.device,
        "done": forecast.done,
        "to_come": forecast.to_come,
        "stops_early": forecast.stops_early,
    }
    return json.dumps({**about, **whole, "groups": groups}, indent=2, ensure_ascii=False)


def bytes_text(count: int | None) -> str:
    """Return `120 kB`, `35 MB` or `1.2 GB`."""
    if count is None:
        return UNKNOWN
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{max(round(count / 1e3), 1)} kB"


def _alike(costs: Sequence[GroupCost]) -> list[list[GroupCost]]:
    """Return the groups that one row can stand for: of one model, batch size and size, for the same reason."""
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
    return f"{together}; {count_text(same, 'run')} the same but for epochs" if same else together
