"""Names of image files: readable endings, and files and folders that are not data."""

from __future__ import annotations

import importlib
from functools import lru_cache

from PIL import Image

# Formats that Pillow decodes by itself and within bounds. Excluded: EPS and WMF, which start other programs; FITS and
# other floats of unknown range; stubs without a decoder; PSD, ICNS and CUR, which hold several pictures.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TIFF", "WEBP")
# Without a signature: any file could match, so only these endings are accepted.
UNSIGNED_FORMATS = {"TGA": (".tga", ".icb", ".vda", ".vst")}

_PLUGINS = (
    "Avif",
    "Bmp",
    "Gif",
    "Ico",
    "Jpeg",
    "Jpeg2K",
    "Mpo",
    "Pcx",
    "Png",
    "Ppm",
    "Qoi",
    "Sgi",
    "Tga",
    "Tiff",
    "WebP",
)
_FLOATS = (".pfm",)
USUAL_ENDINGS = ".avif .bmp .gif .jpeg .jpg .png .tif .tiff .webp and others that Pillow reads"  # for messages
_SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__")
)
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"))


@lru_cache(maxsize=1)
def image_endings() -> tuple[str, ...]:
    """Return the endings that the installed Pillow can open, with their dots, in alphabetical order."""
    for name in _PLUGINS:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    formats = {*FORMATS, *UNSIGNED_FORMATS, "MPO"}  # MPO is opened as its first JPEG
    return tuple(
        sorted(ending for ending, kind in Image.EXTENSION.items() if kind in formats and ending not in _FLOATS)
    )


def is_image_name(name: str) -> bool:
    """True if the ending is that of a readable image."""
    return name.lower().endswith(image_endings())


def is_hidden(name: str) -> bool:
    """True for files and folders that begin with a dot, and for folders of operating systems."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_clutter(name: str) -> bool:
    """True for files that operating systems create."""
    return name.startswith("._") or name.lower() in _SYSTEM_FILES


def ending_of(name: str) -> str:
    """Return the ending for display: `.txt`, or `without ending`."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else "without ending"


def formats_of(name: str) -> tuple[str, ...]:
    """Return the possible formats of a file: determined by content, independent of its ending."""
    lowered = name.lower()
    return FORMATS + tuple(kind for kind, endings in UNSIGNED_FORMATS.items() if lowered.endswith(endings))
