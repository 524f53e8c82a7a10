"""The model card in the header of a best checkpoint. It is checked when read: it may come from a stranger."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field, PlainValidator, Strict, TypeAdapter, ValidationInfo

from cnnsweep._version import __version__
from cnnsweep.analysis.json_reader import (
    Must,
    Names,
    Number,
    PlainMapping,
    Whole,
    null_as,
    read_as,
)
from cnnsweep.config.check_choice import check_choice
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CheckpointError, SpecError
from cnnsweep.field_types import mistake
from cnnsweep.metrics.base import METRICS
from cnnsweep.plugins import is_reference
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import CROSS_ENTROPY, PLAIN, Choice, DatasetChoice, ModelChoice, Run


def _is_subset(value: float | None) -> bool:
    return value is None or 0 < value < 1 or (isinstance(value, int) and value >= 1)


@dataclass(frozen=True, slots=True)
class Split:
    """Split of the training images: a held-out share or number, or one of several folds.

    Attributes:
        subset: the images that are split, as a share or a number; None for all.
    """

    validation: Annotated[Number, Field(ge=0)]
    seed: Annotated[Whole, Field(ge=0)]
    folds: Whole | None = None
    fold: Whole | None = None
    subset: Annotated[Number | None, Must("a share below 1, or a number of images", _is_subset)] = None

    @property
    def is_possible(self) -> bool:
        return self.folds is None or (self.fold is not None and 0 <= self.fold < self.folds and self.folds >= 2)


_Size = Annotated[int, Strict(), Field(ge=1, le=10**6)]
_Numbers = Annotated[tuple[Number, ...], FailFast()]


@dataclass(frozen=True, slots=True)
class _Pixels:
    mean: _Numbers
    std: Annotated[_Numbers, Must("above 0", lambda numbers: all(number > 0 for number in numbers))]


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    arguments: PlainMapping


_PIXELS, _NAMED = TypeAdapter(_Pixels), TypeAdapter(_Named)


def _as_pixels(value: Any, info: ValidationInfo) -> PixelNormalize:
    pixels, channels = _PIXELS.validate_python(value), info.data.get("image_shape", (1,))[0]
    if len(pixels.mean) != len(pixels.std) or len(pixels.mean) not in (1, channels):
        found = f"has {len(pixels.mean):,} means and {len(pixels.std):,} deviations"
        raise mistake(f"{found}, but must have one of each, or one a channel ({channels})")
    return PixelNormalize(tuple(map(float, pixels.mean)), tuple(map(float, pixels.std)))


def _as(choice: Callable[[str, Mapping[str, Any]], Any]) -> PlainValidator:
    """Return the check of a component of the sweep file; it is neither looked for nor imported."""

    def read(value: Any) -> Any:
        named = _NAMED.validate_python(value)
        return choice(named.name, named.arguments)

    return PlainValidator(read)


@dataclass(frozen=True, slots=True)
class Description:
    """Facts needed to use and to show a checkpoint, by their names in its header.

    Attributes:
        white: the value that images of more than 8 bits have for 255.
        loss_function: cross-entropy in all older checkpoints, which do not name it.
        metrics: those recorded beside loss and accuracy; without those of the user's own code, unless it is allowed.
        labels: the number of labels that an image may have.
        metric: the one by which the sweep selects; None in older checkpoints.
        weights: plain, or the average that the weights are: ema, swa.
    """

    run: str
    epoch: Whole
    model: Annotated[ModelChoice, _as(ModelChoice)]
    dataset: Annotated[DatasetChoice, _as(DatasetChoice)]
    image_shape: Annotated[tuple[_Size, _Size, _Size], Must("channels, height and width")]
    classes: Annotated[Names, Must("at least one name", bool)]
    pixels: Annotated[PixelNormalize, PlainValidator(_as_pixels)]
    split: Annotated[Split, Must("a fold of at least two", lambda split: split.is_possible)]
    params: Annotated[PlainMapping, Field(alias="settings")] = field(default_factory=dict)
    fingerprint: str | None = None
    white: Annotated[Whole, Field(ge=255, lt=2**31)] = FULL_WHITE
    loss_function: Annotated[Choice, _as(Choice)] = CROSS_ENTROPY
    metrics: Annotated[tuple[Annotated[Choice, _as(Choice)], ...], FailFast(), null_as(())] = ()
    labels: Literal["one", "several"] = "one"
    metric: str | None = None
    weights: Literal["plain", "ema", "swa"] = PLAIN

    @property
    def is_multi_label(self) -> bool:
        """True if an image may have any number of labels."""
        return self.labels == "several"


_DESCRIPTION = TypeAdapter(Description)


def make_model_card(spec: SweepSpec, dataset: Dataset, task: DataModule, run: Run) -> Mapping[str, Any]:
    """Return the fields of a best checkpoint's header, but for its metrics."""
    pixels = task.part(run).pixels
    return {
        "cnnsweep": __version__,
        "sweep": spec.name,
        "settings": dict(run.params),
        "model": {"name": run.model.name, "arguments": dict(run.model.arguments)},
        **_unusual_loss(run.hyperparameters.loss_function),
        "image_shape": list(dataset.train.image_shape),
        "classes": list(dataset.classes),
        **({"labels": "several"} if dataset.is_multi_label else {}),
        "pixels": {"mean": list(pixels.mean), "std": list(pixels.std)},
        **({} if dataset.white == FULL_WHITE else {"white": dataset.white}),
        "dataset": {"name": spec.dataset_choice.name, "arguments": dict(spec.dataset_choice.arguments)},
        "fingerprint": dataset.fingerprint,
        "split": {
            "validation": spec.validation,
            "seed": spec.seed,
            "folds": spec.folds,
            "fold": run.fold,
            **({} if spec.dataset_choice.subset is None else {"subset": spec.dataset_choice.subset}),
        },
        "precision": spec.precision,
        **(
            {"metrics": [{"name": one.name, "arguments": one.arguments} for one in spec.metrics]}
            if spec.metrics
            else {}
        ),
        "metric": spec.metric,
    }


def _unusual_loss(loss: Choice) -> dict[str, Any]:
    """Return the loss as a checkpoint names it; cross-entropy goes without saying, as it always has."""
    return {} if loss == CROSS_ENTROPY else {"loss_function": {"name": loss.name, "arguments": dict(loss.arguments)}}


def describe(
    path: Path, about: Mapping[str, Any], data_root: Path, *, allow_code: bool, needs_loss: bool = False
) -> Description:
    """Return the description in a `best.safetensors`; nothing that it names is opened, imported or built.

    Args:
        path: the file, for messages.
        about: the fields of its header.
        data_root: a folder of images has to lie below it, or below the current folder.
        allow_code: it may name code of its own.
        needs_loss: its loss will be measured; else that may be code of its own.

    Raises:
        CheckpointError: it names code or a folder elsewhere, or a field is missing or wrong.
    """
    found = read_as(_DESCRIPTION, about, path, error=CheckpointError)
    loss = (found.loss_function.name,) if needs_loss else ()
    _refuse_code(path, (found.model.name, found.dataset.name, *loss), allow_code)
    for key, choice in (("model", found.model), ("dataset", found.dataset)):
        if not is_reference(choice.name):
            try:
                check_choice(key, choice.name, choice.arguments, str(path))
            except SpecError as error:
                raise CheckpointError(str(error)) from None
    if found.dataset.name == "image_folder":
        _refuse_folder_elsewhere(path, found.dataset.arguments["path"], data_root)
    # Those that can be measured here: of packages that are installed, or of code that is allowed.
    known = [one for one in found.metrics if (allow_code if is_reference(one.name) else one.name in METRICS.names)]
    return replace(found, metrics=tuple(known))


def _refuse_code(path: Path, names: tuple[str, ...], allow_code: bool) -> None:
    named = [name for name in names if is_reference(name)]
    if named and not allow_code:
        raise CheckpointError(
            f"{path}: names code of its own ({', '.join(named)}), which would be run; add --allow-code if you trust it"
        )


def _refuse_folder_elsewhere(path: Path, folder: str, data_root: Path) -> None:
    """Let no checkpoint choose what is read of the disk, or of a server that a path can name as well."""
    roots = [Path(os.path.normpath(root.absolute())) for root in (data_root, Path.cwd())]
    # Every place where the folder would be looked for; the paths alone are looked at, since opening them may do harm.
    places = [Path(os.path.normpath(root / os.path.expanduser(folder))) for root in roots]  # noqa: PTH111 - knows any ~
    if "\0" in folder or not all(any(place.is_relative_to(root) for root in roots) for place in places):
        raise CheckpointError(
            f"{path}: names the image folder {folder}, which lies neither below --data-root nor below the current "
            "folder; if you mean these images, give --data-root with the folder, or one above it"
        )
