"""Commands for sweep files: models, datasets, schema, init."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from cnnsweep.cli.options import DEFAULT_DATA_ROOT, AsJson, DataRoot, stdout
from cnnsweep.errors import SpecError, UsageError


def models(as_json: AsJson = False) -> None:
    """List the available models.

    \b
    Examples:
      cnnsweep models
      cnnsweep models --json
    """
    from cnnsweep.models.catalogue import list_models
    from cnnsweep.report.listings import render_models

    if as_json:
        listing = list_models()
        families = {family: list(names) for family, (_, names) in listing.families.items()}
        print(json.dumps({"presets": dict(listing.single), **families}, indent=2))
    else:
        render_models(stdout(), list_models())


def datasets(data_root: DataRoot = DEFAULT_DATA_ROOT, as_json: AsJson = False) -> None:
    """List the available data sets and those found locally.

    \b
    Examples:
      cnnsweep datasets
      cnnsweep datasets --data-root ~/data
    """
    import dataclasses

    from cnnsweep.datasets.catalogue import describe_datasets
    from cnnsweep.report.listings import render_datasets

    descriptions = describe_datasets(data_root)
    if as_json:
        print(json.dumps([dataclasses.asdict(d) for d in descriptions], indent=2, default=str))
    else:
        render_datasets(descriptions, stdout())


def schema() -> None:
    """Print the JSON Schema of sweep files.

    Editors use it to complete and check sweep files.

    \b
    Examples:
      cnnsweep schema > sweep.schema.json
      sed -i '1i # yaml-language-server: $schema=sweep.schema.json' sweep.yaml
    """
    from cnnsweep.config.json_schema import sweep_json_schema

    print(json.dumps(sweep_json_schema(), indent=2))


def init(
    file: Annotated[Path, typer.Argument(help="Sweep file to write.", metavar="[FILE]")] = Path("sweep.yaml"),
    dataset: Annotated[str, typer.Option(help="Name this data set in the file.")] = "shapes",
    model: Annotated[str, typer.Option(help="Name this model in the file.")] = "lenet",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented sweep file as a starting point.

    \b
    Examples:
      cnnsweep init
      cnnsweep init sweeps/cifar.yaml --dataset cifar10 --model resnet18
      cnnsweep init photos.yaml --dataset image_folder
    """
    from cnnsweep.config.load import parse_sweep
    from cnnsweep.config.template import name_for, starter_file
    from cnnsweep.storage.atomic_files import unwritable
    from cnnsweep.storage.paths import refuse_undecodable

    if file.is_dir():
        raise UsageError(f"{file}: is a folder; name the file, as in {file / 'sweep.yaml'}")
    if file.exists() and not force:
        raise UsageError(f"{file}: already exists; choose another name, or add --force to overwrite it")
    refuse_undecodable(Path(file.name))  # the sweep is named after it
    text = starter_file(name_for(file.stem), dataset, model)
    try:
        parse_sweep(text, str(file), folder=file.parent)  # an invalid --dataset or --model must not reach the file
    except SpecError as error:
        raise UsageError("\n".join(f"--{problem.message}" for problem in error.problems)) from None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(file, error) from error
    first = "set its path, then: " if dataset == "image_folder" else ""
    named = f"./{file}" if str(file).startswith("-") else str(file)
    print(f"wrote {file}; next: {first}cnnsweep run {shlex.quote(named)}")
