"""Garbage collection thresholds that avoid searching objects that live as long as the command."""

import gc

_USUAL = gc.get_threshold()
_WHILE_IMPORTING = 100_000  # new objects between two searches


def collect_rarely() -> None:
    """Skip searches during imports: torch creates 300,000 lasting objects; searching them takes a sixth of start-up."""
    gc.set_threshold(_WHILE_IMPORTING, *_USUAL[1:])


def collect_as_usual() -> None:
    """Restore the usual threshold, and exempt existing objects: each search of them would take 0.13 s of training."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
