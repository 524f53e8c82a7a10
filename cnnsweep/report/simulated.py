"""Schedules of a sweep on clusters of several sizes, to choose a size in advance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, duration_text, estimate_text
from cnnsweep.planning.cluster import Cluster
from cnnsweep.planning.cost import Forecast
from cnnsweep.planning.simulation import RECORDING_S
from cnnsweep.planning.timeline import Schedule
from cnnsweep.report.timeline import end_text, figures_to_json, percent_text, render_bars

Sizes = Sequence[tuple[Cluster, Schedule]]


def render_simulation(
    forecast: Forecast, cluster: Cluster, sizes: Sizes, enough: int, console: Console, now: datetime
) -> None:
    """Print the schedule on the cluster, and a table of it with half and twice as many nodes.

    Args:
        enough: see `enough_nodes`.
    """
    runs = sum(len(cost.group.runs) for cost in forecast.groups) + forecast.to_come
    title = f"{safe_text(forecast.name)}: {count_text(runs, 'run')} to train on {_in_words(cluster)}"
    console.print(Text(title, style="bold"))
    if not runs:
        return
    (schedule,) = (schedule for sized, schedule in sizes if sized == cluster)
    render_bars(schedule, console)
    unit = _unit(cluster)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("nodes", "time", "until", "in training", f"{unit}-hours used", "paid"):
        table.add_column(heading, justify="right", no_wrap=True)
    if cluster.price is not None:
        table.add_column("cost", justify="right", no_wrap=True)
    for sized, played in sizes:
        used, paid = _hours(sized, played)
        cells = [
            f"{sized.nodes:,}",
            estimate_text(played.makespan_s),
            end_text(now, played.makespan_s),
            percent_text(played.utilisation),
            _hours_text(used),
            _hours_text(paid),
        ]
        if cluster.price is not None:
            cells.append(f"{paid * cluster.price:,.2f}")
        table.add_row(*cells, style="bold" if sized == cluster and len(sizes) > 1 else None)
    console.print(table)
    units = count_text(cluster.with_nodes(enough).units, _unit(cluster))
    verb = "is" if cluster.with_nodes(enough).units == 1 else "are"
    console.print(Text(f"{units} ({count_text(enough, 'node')}) {verb} enough: more make it at most 5 % shorter"))
    for line in _notes(forecast, cluster, schedule):
        console.print(Text(line))


def simulation_to_json(sizes: Sizes, enough: int | None) -> list[dict[str, Any]]:
    """Return an entry for each size, the smallest first.

    Args:
        enough: see `enough_nodes`.
    """
    entries = []
    for cluster, schedule in sizes:
        used, paid = _hours(cluster, schedule)
        unit = _unit(cluster).lower()
        entry = {"nodes": cluster.nodes, "places": len(schedule.slots), **figures_to_json(schedule)}
        entry |= {f"{unit}_hours_used": used, f"{unit}_hours_paid": paid, "lost_nodes": schedule.lost_nodes}
        entry["enough_nodes"] = enough
        entries.append(entry | ({} if cluster.price is None else {"cost": paid * cluster.price}))
    return entries


def _notes(forecast: Forecast, cluster: Cluster, schedule: Schedule) -> list[str]:
    """Return the assumptions, and the bottleneck."""
    if forecast.given_s is not None:
        notes = [f"an epoch of a run takes {forecast.given_s:g} s, as given; --fuse K trains K runs together"]
    else:
        notes = [f"the time of a run is as measured on {safe_text(forecast.device)}"]
        notes[0] += f", divided by {cluster.speed:g}" if cluster.speed != 1 else ""
    if schedule.is_bound_by_recording:
        notes.append(
            f"recording is the bottleneck: one process writes all results, {1000 * RECORDING_S:.0f} ms per run and "
            f"epoch, and keeps about {count_text(round(schedule.most_slots), 'slot')} busy"
        )
    if schedule.lost_nodes:
        wasted = f"{duration_text(schedule.wasted_s)} of epochs to repeat" if schedule.wasted_s else "no epochs"
        notes.append(f"{count_text(schedule.lost_nodes, 'node')} lost during training, with {wasted}")
    if forecast.to_come:
        notes.append(f"{count_text(forecast.to_come, 'run')} to be chosen later count like the known ones")
    if forecast.stops_early:
        notes.append("savings by early stopping are not included")
    return notes


def _in_words(cluster: Cluster) -> str:
    words = f"{count_text(cluster.nodes, 'node')} of {count_text(cluster.gpus or cluster.cpus, _unit(cluster))}"
    if cluster.startup_s:
        words += f", ready after {estimate_text(cluster.startup_s)}"
    if cluster.lost:
        words += f", each lost every {duration_text(3600 / cluster.lost)} on average"
    return words


def _unit(cluster: Cluster) -> str:
    return "GPU" if cluster.gpus else "core"


def _hours(cluster: Cluster, schedule: Schedule) -> tuple[float, float]:
    """Return the hours in which GPUs or cores train, and the paid hours from start to end."""
    paid = cluster.units * schedule.makespan_s / 3600
    busy = (schedule.training_s + schedule.wasted_s) / schedule.paid_s if schedule.paid_s else 0.0
    return paid * busy, paid


def _hours_text(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
