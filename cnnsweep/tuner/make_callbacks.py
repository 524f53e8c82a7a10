"""Makes the callbacks that a sweep file names."""

from __future__ import annotations

from cnnsweep.callbacks import CALLBACKS, Callback
from cnnsweep.code_place import raised_at
from cnnsweep.config.dump import without_folder
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.types import Choice


def make_callbacks(spec: SweepSpec) -> list[Callback]:
    """Return the callbacks of the sweep file, in its order.

    Raises:
        UsageError: one cannot be made; with file and line where its own code raised.
    """
    return [_made(choice) for choice in spec.callbacks]


def _made(choice: Choice) -> Callback:
    component = CALLBACKS.make(choice)
    try:
        return component.build()
    except Exception as error:
        name = without_folder(choice.name, choice.code)
        place = raised_at(error, component.made_from)
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(f"{place}callback {name}: cannot be made ({cause})") from error
