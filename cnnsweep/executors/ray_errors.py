"""Messages for Ray's errors about lost actors."""

from __future__ import annotations

from ray import exceptions

from cnnsweep.formatting.escape import safe_text

_LONGEST = 300  # maximum characters of a message from Ray


def how_it_was_lost(error: BaseException, address: str) -> str:
    """Return the cause of a worker's death, as a phrase after its name.

    Args:
        address: address of its node; empty before it has one.
    """
    node = f"node {address}" if address else "node"
    text = " ".join(str(error).split())
    if getattr(error, "preempted", False):
        return f"was lost: its {node} was preempted"
    if isinstance(error, exceptions.OutOfMemoryError) or "running low on memory" in text:
        return f"was ended by Ray, because its {node} ran out of memory"
    if isinstance(error, exceptions.NodeDiedError) or "node has died" in text or "node was dead" in text:
        return f"was lost with its {node}"
    if isinstance(error, exceptions.ActorUnavailableError):
        return f"cannot be reached on its {node} any more"
    if isinstance(error, exceptions.ObjectLostError | exceptions.OwnerDiedError):
        return f"was lost: its {node} did not deliver its reports"
    if isinstance(error, exceptions.RuntimeEnvSetupError):
        return f"could not be started: {_short(text)}"
    if getattr(error, "actor_init_failed", False):
        return f"could not be started: {_last_line(error)}"
    if isinstance(error, exceptions.RayActorError):
        return "was ended from outside, or crashed"
    return f"failed: {_last_line(error) or type(error).__name__}"


def _last_line(error: BaseException) -> str:
    """Return the last line, which is the error after the traceback."""
    return _short(str(error).strip().rpartition("\n")[2])


def _short(text: str) -> str:
    words = safe_text(" ".join(text.split()))
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
