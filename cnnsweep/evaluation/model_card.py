"""The model card in the header of a best checkpoint. It is checked when read: it may come from a stranger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep._version import __version__
from cnnsweep.analysis.json_reader import JsonReader, shown
from cnnsweep.config.check_choice import check_choice
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CheckpointError, SpecError
from cnnsweep.metrics.base import METRICS
from cnnsweep.plugins import is_reference
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import CROSS_ENTROPY, Choice, DatasetChoice, ModelChoice, Run


@dataclass(frozen=True, slots=True)
class Split:
    """Split of the training images: a held-out share or number, or one of several folds."""

    validation: int | float
    seed: int
    folds: int | None
    fold: int | None


@dataclass(frozen=True, slots=True)
class Description:
    """Facts needed to use and to show a checkpoint.

    Attributes:
        white: the value that pictures of more than 8 bits have for 255.
        metrics: those recorded beside loss and accuracy; without those of the user's own code, unless it is allowed.
    """

    run: str
    epoch: int
    params: Mapping[str, Any]
    model: ModelChoice
    dataset: DatasetChoice
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    pixels: PixelNormalize
    split: Split
    fingerprint: str | None
    white: int
    loss_function: Choice = CROSS_ENTROPY
    metrics: tuple[Choice, ...] = ()


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
        "pixels": {"mean": list(pixels.mean), "std": list(pixels.std)},
        **({} if dataset.white == FULL_WHITE else {"white": dataset.white}),
        "dataset": {"name": spec.dataset_choice.name, "arguments": dict(spec.dataset_choice.arguments)},
        "fingerprint": dataset.fingerprint,
        "split": {
            "validation": spec.validation,
            "seed": spec.seed,
            "folds": spec.folds,
            "fold": run.fold,
        },
        "precision": spec.precision,
        **(
            {"metrics": [{"name": one.name, "arguments": one.arguments} for one in spec.metrics]}
            if spec.metrics
            else {}
        ),
    }


def _unusual_loss(loss: Choice) -> dict[str, Any]:
    """Return the loss as a checkpoint names it; cross-entropy goes without saying, as it always has."""
    return {} if loss == CROSS_ENTROPY else {"loss_function": {"name": loss.name, "arguments": dict(loss.arguments)}}


def describe(path: Path, about: Mapping[str, Any], data_root: Path, *, allow_code: bool) -> Description:
    """Return what a `best.safetensors` says of itself; nothing that it names is opened, imported or built.

    Args:
        path: the file, for messages.
        about: what its header says.
        data_root: a folder of images has to lie below it, or below the current folder.
        allow_code: it may name code of its own.

    Raises:
        CheckpointError: it names code or a folder elsewhere, or says what no checkpoint of ours does.
    """
    reader = JsonReader(path, CheckpointError)
    model, dataset = (_choice(reader, about, key) for key in ("model", "dataset"))
    # Checkpoints of runs with cross-entropy, and all older ones, do not name it.
    loss = _choice(reader, about, "loss_function") if "loss_function" in about else (CROSS_ENTROPY.name, {})
    _refuse_code(path, (model[0], dataset[0], loss[0]), allow_code)
    for key, (name, arguments) in (("model", model), ("dataset", dataset)):
        if not is_reference(name):
            try:
                check_choice(key, name, arguments, str(path))
            except SpecError as error:
                raise CheckpointError(str(error)) from None
    if dataset[0] == "image_folder":
        _refuse_folder_elsewhere(path, dataset[1]["path"], data_root)
    image_shape = _image_shape(reader, about)
    return Description(
        run=reader.text(about, "run", ""),
        epoch=reader.integer(about, "epoch", ""),
        params={} if "settings" not in about else reader.plain_mapping(about, "settings", ""),
        model=ModelChoice(*model),
        dataset=DatasetChoice(*dataset),
        image_shape=image_shape,
        classes=_classes(reader, about),
        pixels=_pixels(reader, about, image_shape[0]),
        split=_split(reader, about),
        fingerprint=reader.maybe(reader.text, about, "fingerprint", ""),
        white=_white(reader, about),
        loss_function=Choice(*loss),
        metrics=tuple(_metrics(reader, about, allow_code=allow_code)),
    )


def _metrics(reader: JsonReader, about: Mapping[str, Any], *, allow_code: bool) -> Iterator[Choice]:
    """Yield the metrics that can be measured here: of packages that are installed, or of code that is allowed."""
    for number, value in enumerate(reader.maybe(reader.sequence, about, "metrics", "") or ()):
        place = f"metrics[{number}]"
        entry = reader.mapping(value, place)
        choice = Choice(reader.text(entry, "name", place), reader.plain_mapping(entry, "arguments", place))
        if allow_code if is_reference(choice.name) else choice.name in METRICS.names:
            yield choice


def _choice(reader: JsonReader, about: Mapping[str, Any], key: str) -> tuple[str, Mapping[str, Any]]:
    entry = reader.submapping(about, key, "")
    return reader.text(entry, "name", key), reader.plain_mapping(entry, "arguments", key)


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


def _image_shape(reader: JsonReader, about: Mapping[str, Any]) -> tuple[int, int, int]:
    sizes = reader.sequence(about, "image_shape", "")
    if len(sizes) != 3 or not all(type(size) is int and 1 <= size <= 10**6 for size in sizes):
        reader.fail("image_shape", f"is {shown(sizes)}, but must be channels, height and width")
    channels, height, width = sizes
    return channels, height, width


def _classes(reader: JsonReader, about: Mapping[str, Any]) -> tuple[str, ...]:
    classes = reader.names(about, "classes", "")
    if not classes:
        reader.fail("classes", "is empty, but must have at least one name")
    return classes


def _pixels(reader: JsonReader, about: Mapping[str, Any], channels: int) -> PixelNormalize:
    entry = reader.submapping(about, "pixels", "")
    scale = {}
    for key in ("mean", "std"):
        numbers = reader.sequence(entry, key, "pixels")
        for number in numbers:
            reader.number({key: number}, key, "pixels")
        if len(numbers) not in (1, channels):
            reader.fail(f"pixels.{key}", f"has {len(numbers):,} numbers, but must have one a channel ({channels})")
        scale[key] = tuple(map(float, numbers))
    if len(scale["mean"]) != len(scale["std"]):
        reader.fail("pixels", "has not as many means as deviations")
    if not all(deviation > 0 for deviation in scale["std"]):
        reader.fail("pixels.std", f"is {shown(list(scale['std']))}, but must be above 0")
    return PixelNormalize(scale["mean"], scale["std"])


def _white(reader: JsonReader, about: Mapping[str, Any]) -> int:
    white = FULL_WHITE if "white" not in about else reader.integer(about, "white", "")
    if not 255 <= white < 2**31:
        reader.fail("white", f"is {shown(white)}, but must be from 255 to below 2 to the power of 31")
    return white


def _split(reader: JsonReader, about: Mapping[str, Any]) -> Split:
    entry = reader.submapping(about, "split", "")
    folds, fold = (reader.maybe(reader.integer, entry, key, "split") for key in ("folds", "fold"))
    if folds is not None and (fold is None or not 0 <= fold < folds or folds < 2):
        reader.fail("split", f"is fold {fold} of {folds}, which cannot be")
    validation, seed = reader.number(entry, "validation", "split"), reader.integer(entry, "seed", "split")
    if validation < 0 or seed < 0:
        reader.fail("split", "has a negative number")
    return Split(validation, seed, folds, fold)
