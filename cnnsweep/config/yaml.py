"""Reads YAML under rules that avoid its traps, and keeps the position of every key and value.

PyYAML parses the text into events; the tree is built here, because PyYAML's own construction reads `1e-3` as text,
`012` as 10 and `1:30` as 90, lets the last of two equal keys win, runs tags, expands aliases without end, and recurses
without bound.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from cnnsweep.errors import Problem, SpecError
from cnnsweep.scalars import scalar_value

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 10_000
MAX_PROBLEMS = 100

KeyPath = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML can be built without libyaml: slower, same events

# Not allowed in YAML 1.1: control characters, surrogates; and the byte order mark, which only hides.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Position:
    """Position in the file. Line and column count from 1; both are 0 in values given by `--set`."""

    file: str
    line: int
    column: int


@dataclass(slots=True)
class Document:
    """A file's values, with the position of each by its path: keys and list indices from the top.

    `texts` holds plain scalars as they were written, so that a name may be `007`.
    `loss_key` is the spelling of `params.loss` in messages, see `spellings.py`.
    """

    file: str
    value: Any = None
    key_places: dict[KeyPath, Position] = field(default_factory=dict)
    value_places: dict[KeyPath, Position] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    loss_key: str = "loss"
    is_spelled_out: bool = False

    def nearest(self, path: KeyPath) -> KeyPath:
        """Return the part of a path that stands in the file: a list's position may be left out, a key not given."""
        found: KeyPath = ()
        node = self.value
        for step in path:
            keys = node if isinstance(node, dict) else range(len(node) if isinstance(node, list) else 0)
            if step in keys:
                node = node[step]
            elif isinstance(step, int):
                continue  # a single value that was read as a list of one
            else:
                break
            found = (*found, step)
        return found

    def place(self, path: KeyPath, *, of_key: bool = False) -> Position:
        """Return the position of a path's value, or of its key, or of the nearest path above."""
        nearest = self.nearest(path)
        if of_key and nearest in self.key_places:
            return self.key_places[nearest]
        return self.value_places[nearest]


def read_yaml(text: str, file: str) -> Document:
    """Return a text's values and positions.

    Mistakes that leave the rest readable, such as a key given twice, are in the document's `problems`.

    Raises:
        SpecError: the text is no YAML, or too large, too deep or too long to be a sweep file.
    """
    document = Document(file)
    _refuse_unprintable(text, file)
    try:
        _TreeBuilder(document, text).build()
    except yaml.MarkedYAMLError as error:
        problem = _syntax_problem(error, text, file)
        raise SpecError([*document.problems, problem]) from None
    except SpecError as error:
        raise SpecError([*document.problems, *error.problems]) from None
    return document


class _TreeBuilder:
    """Turns PyYAML's events into dicts, lists and scalars."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.values_read = 0
        self.events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def build(self) -> None:
        event = next(self.events)
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            self.document.value_places[()] = Position(self.document.file, 1, 1)
            return
        self.document.value = self._node(event, ())
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._stop(event, "a second document begins here ('---'); a file holds one sweep")

    def _node(self, event: Any, path: KeyPath) -> Any:
        self.values_read += 1
        if self.values_read > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES:,} values; a sweep file holds a few hundred at most")
        if len(path) > MAX_DEPTH:
            self._stop(event, f"more than {MAX_DEPTH} levels inside each other; a sweep file needs five")
        self.document.value_places[path] = self._place(event)
        self._refuse_references(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        return None  # an alias, which is a problem already

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        if event.style:  # in quotes, or a block of text
            return event.value
        self.document.texts[path] = event.value
        return scalar_value(event.value)

    def _list(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event)
            key_path = (*path, key)
            first = self.document.key_places.get(key_path)
            if first is None:
                self.document.key_places[key_path] = self._place(event)
            else:
                self._add(event, f"{dotted(key_path)}: given twice, first in line {first.line}")
            entries[key] = self._node(next(self.events), key_path)
        return entries

    def _key(self, event: Any) -> str:
        """Return a key as it is written: `no`, `1` and `null` are names like any other."""
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._stop(event, "a list or mapping stands where a key is expected")
        self._refuse_references(event)
        return f"*{event.anchor}" if isinstance(event, yaml.AliasEvent) else event.value

    def _refuse_references(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._add(event, f"*{event.anchor} is a YAML alias, which is not allowed; write the value out, or quote it")
            return
        if event.anchor is not None:
            self._add(event, f"&{event.anchor} is a YAML anchor, which is not allowed; leave it out, or quote it")
        if event.tag == "!=":
            self._add(event, "a comparison has to stand in quotes, such as '!= adam'")
        elif event.tag is not None:
            self._add(event, f"the YAML tag {shown_tag(event.tag)} is not allowed; leave it out, or quote the text")

    def _place(self, event: Any) -> Position:
        return Position(self.document.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _add(self, event: Any, message: str) -> None:
        if len(self.document.problems) == MAX_PROBLEMS:
            self._stop(event, "here the reading stopped, because of too many mistakes")
        place = self._place(event)
        self.document.problems.append(Problem(place.file, place.line, place.column, message))

    def _stop(self, event: Any, message: str) -> None:
        place = self._place(event)
        raise SpecError([Problem(place.file, place.line, place.column, message)])


def dotted(path: KeyPath) -> str:
    """Return a path as people write it, without list positions, and harmless to print: `params.lr`."""
    text = ".".join(step for step in path if isinstance(step, str))
    if len(text) > 80:
        text = text[:77] + "..."
    return text if text.isprintable() else repr(text)


def shown_tag(tag: str) -> str:
    """Return a tag as it was written, cut where it is long."""
    text = tag.replace("tag:yaml.org,2002:", "!!", 1)[:60]
    return text if text.isprintable() else repr(text)


def _refuse_unprintable(text: str, file: str) -> None:
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        message = f"the character U+{ord(found.group()):04X} is not allowed; this is no text file, or a damaged one"
        raise SpecError([Problem(file, line, column, message)])


# A pattern for messages of PyYAML's (with libyaml and without it), our message, and True to point at the beginning of
# the list, mapping or quote.
_SYNTAX = (
    ("mapping values are not allowed", "a ':' too many, or a line indented too far; quote text that holds ': '", False),
    (r"tab character|cannot start any token.*'\\t'", "a tab; indent with spaces", False),
    ("cannot start any token", "no value can begin with this character; put the text in quotes", False),
    ("expected ':'", "a ':' is missing after this key", True),
    (r"expected ',' or '\]'", "this list is not closed: a ',' or ']' is missing", True),
    (r"expected ',' or '\}'", "this mapping is not closed: a ',' or '}' is missing", True),
    ("unexpected end of stream|unexpected document separator", "this quote is not closed", True),
    ("escape|hexadecimal", "an unknown escape; in double quotes a backslash is written \\\\", False),
    ("alphabetic or numeric", "text that begins with * or & has to stand in quotes", True),
    ("expected comment or line break", "text that begins with | or > has to stand in quotes", False),
    ("mapping keys are not allowed", "text that begins with ? has to stand in quotes", False),
    ("non-alphabetical character", "text that begins with % has to stand in quotes", True),
    ("expected (the )?node content", "a value is missing here", False),
    ("sequence entries are not allowed", "a list written with '-' begins in a line of its own", False),
    ("expected ('-' indicator|key|<block end|<document start)", "this does not line up with what stands above", False),
)  # fmt: skip


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    assert mark is not None, "PyYAML marks every syntax error"
    problem = f"{error.problem}"
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        problem += r" '\t'"
    words = (entry for entry in _SYNTAX if re.search(entry[0], problem))
    _, message, at_beginning = next(words, ("", f"this is not YAML: {problem}", False))
    if at_beginning:
        mark = error.context_mark or mark
    return Problem(file, mark.line + 1, mark.column + 1, message)
