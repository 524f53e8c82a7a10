"""Which loop a tool drives: that of its own documentation, or the hand-tuned one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import documented_loop
import hand_loop
from contract import Task


@dataclass(frozen=True)
class Loop:
    """How images are held, and how a run is trained on them; see hand_loop.py and documented_loop.py."""

    prepare: Callable[..., tuple[Any, Any]]
    train_run: Callable[..., dict[str, Any]]


def chosen_loop(task: Task) -> Loop:
    if task.options.get("loop") == "hand":
        return Loop(hand_loop.to_floats, hand_loop.train_run)
    return Loop(documented_loop.to_data_sets, documented_loop.train_run)
