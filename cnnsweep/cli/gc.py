"""Python's search for garbage, kept out of the way of what stays as long as the command runs."""

import gc

_USUAL = gc.get_threshold()
_WHILE_IMPORTING = 100_000  # new objects between two searches


def collect_rarely() -> None:
    """Let imports alone: torch's make 300,000 objects that stay, and searching them takes a sixth of the start-up."""
    gc.set_threshold(_WHILE_IMPORTING, *_USUAL[1:])


def collect_as_usual() -> None:
    """Search as usual from now on, but never what is there already: each time would take 0.13 s of training."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
