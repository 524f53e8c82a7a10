"""The digest inside `evaluation.json`."""

import hashlib


def evaluation_is_whole(content: bytes) -> bool:
    """True if an `evaluation.json` is as it was written, or is of a version that wrote no digest."""
    head, mark, tail = content.rpartition(_DIGEST)
    return not mark or tail == _digest(head + _END) + _END_OF_DIGEST


_DIGEST = b',"sha256":"'  # of the object without it; it stands at the end
_END = b"}\n"
_END_OF_DIGEST = b'"}\n'


def with_digest(content: str) -> bytes:
    """Return the bytes of an `evaluation.json`, its digest at the end."""
    plain = content.encode()
    return plain.removesuffix(_END) + _DIGEST + _digest(plain) + _END_OF_DIGEST


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
