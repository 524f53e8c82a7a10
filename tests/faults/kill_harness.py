"""Kills sweeps at random times, again and again until they end, and checks what each kill left behind."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from folder_checks import figures, kept_epochs, lost_epochs, unreadable_files
from sweep_processes import PATIENCE_S, Start, run_whole

from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state
from cnnsweep.types import EpochRecord


@dataclass
class Kills:
    """What came of killing one sweep until it ended."""

    times: list[float] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    trained_again: int = 0
    total_s: float = 0.0

    def start_up_s(self, of_one: float) -> float:
        """Return how long starting took in all, where it takes so long once."""
        return sum(min(at, of_one) for at in self.times) + of_one


def kill_until_whole(start: Start, folder: Path, duration: float, chance: random.Random) -> Kills:
    """Kill a sweep at times that are uniform over its duration, until one process lives to the end."""
    kills = Kills()
    kept: Mapping[str, Sequence[EpochRecord]] = {}
    while True:
        begin = time.monotonic()
        process = start(folder)
        # Wider with every kill: on a machine that became slower since, no process would live to the end.
        process.join(chance.uniform(0, duration * 1.05 ** len(kills.times)))
        is_killed = process.exitcode is None
        if is_killed:
            process.kill()
            process.join(PATIENCE_S)
            is_killed = process.exitcode != 0  # it may have ended in that moment
        elapsed = time.monotonic() - begin
        kills.total_s += elapsed
        assert process.exitcode in (0, -9), f"exit code {process.exitcode}"
        process.close()
        kills.unreadable += unreadable_files(folder)
        history = read_state(SweepPaths(folder).journal)
        kills.lost += lost_epochs(kept, history)
        if not is_killed:
            return kills
        kills.times.append(elapsed)
        kept = kept_epochs(folder, history)
        ahead = [len(run.records) - len(kept[run_id]) for run_id, run in history.runs.items()]
        kills.lost += [f"{count} epochs of a run without a checkpoint" for count in ahead if count > 1]
        kills.trained_again += sum(ahead)


@dataclass
class CampaignTotals:
    """What came of many sweeps of one kind."""

    name: str
    sweeps: int = 0
    kills: int = 0
    unreadable: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unequal: int = 0
    trained_again: int = 0
    ratios: list[float] = field(default_factory=list)
    ratios_without_start_up: list[float] = field(default_factory=list)

    def add(self, kills: Kills, is_equal: bool, duration: float, start_up: float) -> None:
        self.sweeps += 1
        self.kills += len(kills.times)
        self.unreadable += kills.unreadable
        self.lost += kills.lost
        self.unequal += not is_equal
        self.trained_again += kills.trained_again
        self.ratios.append(kills.total_s / duration)
        trained = kills.total_s - kills.start_up_s(start_up)
        self.ratios_without_start_up.append(trained / max(duration - start_up, 1e-3))

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.sweeps} sweeps, {self.kills} kills, unreadable {len(self.unreadable)}, "
            f"lost epochs {len(self.lost)}, unequal {self.unequal}, journaled epochs trained again "
            f"{self.trained_again}, time × {statistics.median(self.ratios):.2f} (median; "
            f"× {statistics.median(self.ratios_without_start_up):.2f} without start-up)"
        )


def campaign(name: str, start: Start, folder: Path, at_least: int, seed: int) -> CampaignTotals:
    """Kill sweeps until there were so many kills; compare each with one that was left alone.

    A sweep that is left alone runs beside each killed one: what else the machine does slows both.
    """
    chance = random.Random(seed)
    whole = folder / "whole"
    run_whole(start, whole)  # the process that is forked from starts too
    start_up = run_whole(start, whole)  # nothing is left to train
    expected = figures(whole)
    totals = CampaignTotals(name)
    while totals.kills < at_least:
        left_alone, killed = folder / f"left-alone-{totals.sweeps}", folder / f"killed-{totals.sweeps}"
        duration = run_whole(start, left_alone)
        assert figures(left_alone) == expected, "two sweeps that nobody killed differ"
        kills = kill_until_whole(start, killed, duration, chance)
        totals.add(kills, figures(killed) == expected, duration, start_up)
        shutil.rmtree(left_alone)
        shutil.rmtree(killed)
    return totals
