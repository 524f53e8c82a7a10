"""Schedule of each slot: bars as text, numbers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.text import Text

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.scheduling import Slot
from cnnsweep.planning.timeline import Bar, Schedule

_MOST_PLACES = 16  # number of slots drawn
_WIDEST_BAR = 60
_IN_TURN = "█▓"  # characters for groups that follow each other
_IDLE = "·"


def render_bars(schedule: Schedule, console: Console) -> None:
    """Print one line for each of the first slots, with its work from the start of the sweep to its end."""
    of_place: list[list[Bar]] = [[] for _ in schedule.slots]
    for bar in sorted(schedule.bars, key=lambda bar: bar.start_s):
        of_place[bar.place].append(bar)
    names = _names(schedule.slots[:_MOST_PLACES])
    longest = max(map(len, names))
    width = max(10, min(_WIDEST_BAR, console.width - longest - 14))
    for name, bars in zip(names, of_place, strict=False):
        groups = count_text(len(bars), "group")
        line = f"{name:<{longest}}  {bar_of_slot(bars, schedule.makespan_s, width)}  {groups}"
        console.print(Text(line), no_wrap=True, overflow="crop")
    if (more := len(schedule.slots) - _MOST_PLACES) > 0:
        console.print(f"and {count_text(more, 'slot')} more")


def bar_of_slot(bars: Sequence[Bar], makespan_s: float, width: int) -> str:
    """Return the groups of a slot in order of time, alternately dark and light, and dots for idle time."""
    cells = [_IDLE] * width
    for number, bar in enumerate(bars):
        start = round(bar.start_s / makespan_s * width)
        end = max(round(bar.end_s / makespan_s * width), start + 1)
        for cell in range(start, min(end, width)):
            cells[cell] = _IN_TURN[number % len(_IN_TURN)]
    return "".join(cells)


def end_text(now: datetime, seconds: float) -> str:
    """Return an end time: `14:05`, with its date if that is not today."""
    try:
        end = now + timedelta(seconds=seconds)
    except OverflowError:
        return "an unknown time"
    if end.date() == now.date():
        return f"{end:%H:%M}"
    return f"{end:%H:%M} on {end.day} {end:%B}" + (f" {end.year}" if end.year != now.year else "")


def percent_text(share: float) -> str:
    """Return `94 %`, and less than one with a decimal."""
    return f"{100 * share:.0f} %" if share >= 0.0095 or not share else f"{100 * share:.1f} %"


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule with its bars, in seconds from the start."""
    bars = [
        {"place": bar.place, "runs": [run.name for run in bar.group.runs], "start": bar.start_s, "end": bar.end_s}
        for bar in schedule.bars
    ]
    slots = [{"device": place.device, "threads": place.threads, "node": place.node} for place in schedule.slots]
    return {**figures_to_json(schedule), "places": slots, "bars": bars}


def figures_to_json(schedule: Schedule) -> dict[str, Any]:
    """Return the summary of a schedule."""
    return {
        "seconds": schedule.makespan_s,
        "utilisation": schedule.utilisation,
        "training_seconds": schedule.training_s,
        "wasted_seconds": schedule.wasted_s,
        "recording_seconds": schedule.recording_s,
        "waiting_seconds": schedule.waiting_s,
        "bound_by_recording": schedule.is_bound_by_recording,
    }


def _names(slots: Sequence[Slot]) -> list[str]:
    """Return the name of each slot; equal names are numbered."""
    names = [f"{place.node} {place.device}" if place.node else place.device for place in slots]
    return [
        safe_text(f"{name} #{names[: number + 1].count(name)}" if names.count(name) > 1 else name)
        for number, name in enumerate(names)
    ]
