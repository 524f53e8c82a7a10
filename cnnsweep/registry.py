"""Registry: the implementations of one kind, such as optimizers or pruners, by name.

An implementation is a class with a name, in a file of the kind's package:

    class RMSprop(Optimizer, name="rmsprop"):
        momentum: Momentum = 0.0

The class is a pydantic model: its fields are the keys of the sweep file. The registry finds it by that line alone, so
that a list of names imports nothing. A family, of one class and many names, has `names="resnet18 resnet34"`. Other
packages add implementations with an entry point in the group `cnnsweep.<package>`; a sweep file may name a class of its
own as `file.py:Name` or `package.module:Name`.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, create_model

from cnnsweep.errors import UsageError
from cnnsweep.field_types import found, nearest_name, quoted
from cnnsweep.plugins import is_reference, load_object
from cnnsweep.types import Choice

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_NAMED_CLASS = re.compile(r'^class \w+\([^)]*\bnames?="{1,3}([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Origin:
    """The name of an implementation in the sweep file.

    Attributes:
        name: a known name, or a reference such as `file.py:Name`, with an absolute path.
        code: the content hash of the code, if it is not built in and has a file.
    """

    name: str
    code: str | None = None


class Component(BaseModel):
    """Base of all implementations: a pydantic model whose fields are the keys of the sweep file.

    A module that defines one imports no torch at its top: a sweep file is checked before torch is needed.

    Attributes:
        name: the name in the sweep file; of a class without a name, its own.
        names: all names of a family, else `name` alone.
    """

    # Built when first used: each class once, as a part of the whole, instead of once for itself as well.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: ClassVar[str] = ""
    names: ClassVar[tuple[str, ...]] = ()
    _origin: Origin | None = PrivateAttr(default=None)

    def __init_subclass__(cls, name: str | None = None, names: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.name = name or cls.__name__
        cls.names = tuple(names.split()) or (cls.name,)

    def found_as(self, origin: Origin) -> Self:
        """Remember the name and the code that a sweep file has for this, and return it."""
        self._origin = None if origin == Origin(self.name) else origin
        return self

    @property
    def origin(self) -> Origin:
        """The name in the sweep file, and the hash of the code behind it."""
        return self._origin or Origin(self.name)

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring, without its period."""
        return (cls.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Registry(Generic[C]):
    """The implementations of one kind.

    Attributes:
        kind: singular, for messages: `optimizer`.
        package: the package of `cnnsweep` whose files hold them: `optimizers`.
        base: the class that they derive from.
        of_code: makes a class of a user's own function or other object, from it and its reference, or returns None
            where it cannot; None where only classes will do.
        leading: the number of such a function's first parameters, which are no keys of the sweep file.
        constructor: the number of first parameters after `self` that are no keys, in the constructor of a class that
            `of_code` takes; None where it takes no classes.
        given: names of further parameters that are no keys.
        others: what `of_code` takes, for messages.
    """

    kind: str
    package: str
    base: type[C]
    of_code: Callable[[Any, str], type[C] | None] | None = None
    leading: int = 0
    constructor: int | None = None
    given: tuple[str, ...] = ()
    others: str = "a function"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The known names: built in, in the order of the files, then those of other packages."""
        return tuple(dict.fromkeys([*self._modules, *self._entry_points]))

    def knows(self, name: str) -> bool:
        """True for a known name; other packages are looked at only if it is not built in."""
        return name in self._modules or name in self._entry_points

    def make(self, choice: Choice, **more: Any) -> C:
        """Return the implementation that a run names, with its arguments and `more` of them.

        Raises:
            UsageError: it is unknown, its code cannot be imported, or it does not take these arguments.
        """
        try:
            component = self.get(choice.name)
        except KeyError:
            known = ", ".join(self.names)
            raise UsageError(f"{self.kind} {choice.name}: is not installed here; known are {known}") from None
        try:
            return component(**{**more, **choice.arguments})
        except ValidationError as error:
            raise UsageError(f"{self.kind} {choice.name}: {argument_mistake(component, error)}") from error

    def get(self, name: str) -> type[C]:
        """Return an implementation by its name, or by a reference such as `file.py:Name`.

        Raises:
            KeyError: the name is unknown.
            UsageError: the code cannot be imported, or is no such class.
        """
        if is_reference(name):
            return self._checked(load_object(name), name)
        if name in self._modules:
            found = self._built_in(name)
            return found if found.names == (name,) else _member(found, name)
        if name in self._entry_points:
            point = self._entry_points[name]
            try:
                return self._checked(point.load(), f"{name} ({point.value})")
            except (ImportError, AttributeError) as error:
                raise UsageError(f"{self.kind} {name}: its package cannot be imported ({error})") from error
        raise KeyError(name)

    def is_built_in(self, name: str) -> bool:
        """True for one of cnnsweep's own names; others stand for code that is not known here."""
        return name in self._modules

    @property
    def built_in(self) -> tuple[type[C], ...]:
        """The built-in classes, a family once; their modules are imported."""
        return tuple(dict.fromkeys(map(self._built_in, self._modules)))

    def installed(self) -> Iterator[tuple[tuple[str, ...], type[C]]]:
        """Yield every class that can be imported, with its names; a family once."""
        for component in self.built_in:
            yield component.names, component
        for name in self._entry_points:
            with contextlib.suppress(UsageError):
                yield (name,), self.get(name)

    def _built_in(self, name: str) -> type[C]:
        values = vars(importlib.import_module(self._modules[name])).values()
        return self._checked(next(value for value in values if name in getattr(value, "names", ())), name)

    @cached_property
    def _modules(self) -> Mapping[str, str]:
        """The module of each built-in implementation, by name."""
        found: dict[str, str] = {}
        files = sorted((Path(__file__).parent / self.package).glob("*.py"))
        for file in [file for file in files if file.stem not in ("__init__", "base")]:
            names = " ".join(_NAMED_CLASS.findall(file.read_text(encoding="utf-8"))).split()
            found |= dict.fromkeys(names, f"cnnsweep.{self.package}.{file.stem}")
        return found

    @cached_property
    def _entry_points(self) -> Mapping[str, EntryPoint]:
        """The entry points of other packages, by name; a built-in name cannot be replaced."""
        points = _installed_entry_points().select(group=f"cnnsweep.{self.package}")
        return {point.name: point for point in points if point.name not in self._modules}

    def _checked(self, value: Any, name: str) -> type[C]:
        if isinstance(value, type) and issubclass(value, self.base):
            return value
        made = None if self.of_code is None else self.of_code(value, name)
        if made is None:
            base = f"{self.base.__module__}.{self.base.__qualname__}"
            other = "" if self.of_code is None else f"{self.others}, or "
            raise UsageError(f"{self.kind} {name}: found {value!r:.60}, allowed is {other}a subclass of {base}")
        return made


@cache
def _installed_entry_points() -> Any:  # of one class only since Python 3.12
    """Return the entry points of all packages, read once for all registries: that takes some milliseconds."""
    from importlib.metadata import entry_points  # not needed for `--help`

    return entry_points()


@cache
def _member(family: type[C], name: str) -> type[C]:
    """Return a family's class for one of its names."""
    return create_model(family.__name__, __base__=family, __doc__=family.__doc__, __cls_kwargs__={"name": name})


def wrong_value(kind: str, value: Any, context: Mapping[str, Any], message: str) -> str:
    """Return the text for an error of pydantic's, without the key."""
    if kind == "said":
        return str(context["text"])
    if kind == "allowed":
        return f"{found(value)}, allowed is {context['allowed']}"
    if kind == "model_type":
        return f"{found(value)}, allowed is a mapping of keys and values"
    return f"{found(value)}: {message[:1].lower()}{message[1:]}"  # of checks that another package brings


def argument_mistake(component: type[Component], error: ValidationError) -> str:
    """Return the first of a component's wrong arguments, as `size: found 4, allowed is ...`."""
    details = error.errors(include_url=False)[0]
    key, kind, context = ".".join(map(str, details["loc"][:1])), details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = list(component.model_fields)
        nearest = nearest_name(key, known)
        hint = f"did you mean '{nearest}'?" if nearest else f"it takes {', '.join(known) or 'none'}"
        return f"takes no argument {quoted(key)}; {hint}"
    if kind == "missing":
        return f"needs the argument '{key}'"
    if kind == "unknown":
        return f"{key}: unknown {quoted(context['name'])}; {context['allowed']}"
    text = wrong_value(kind, details["input"], context, details["msg"])
    return f"{key}: {text}" if key else text
