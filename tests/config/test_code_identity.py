"""A person's own code counts by its content, and looking at it runs none of it."""

import sys
from pathlib import Path

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import code_references, expand_runs
from cnnsweep.plugins import module_file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in the current folder that does not survive an import."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "own_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("1 / 0")
    (folder / "inner" / "__init__.py").write_text("1 / 0")
    (folder / "inner" / "nets.py").write_text("Net = 1 / 0")
    return folder


def run_id(name: str) -> str:
    (run,) = expand_runs(parse_sweep(f"name: s\ndataset: shapes\nmodel: {name}\n", "f")).runs
    return run.id


def test_an_edited_module_is_another_run(package: Path) -> None:
    before = run_id("own_package.inner.nets:Net")
    assert run_id("own_package.inner.nets:Net") == before
    (package / "inner" / "nets.py").write_text("Net = 2 / 0")
    assert run_id("own_package.inner.nets:Net") != before
    assert not any(name.startswith("own_package") for name in sys.modules)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("own_package", "__init__.py"),
        ("own_package.inner", "inner/__init__.py"),
        ("own_package.inner.nets", "inner/nets.py"),
        ("own_package.none", None),
        ("own_package.inner.nets.none", None),
        ("no_such_package.nets", None),
        ("sys", None),
    ],
)
def test_a_modules_file_is_found_without_an_import(package: Path, name: str, file: str | None) -> None:
    assert module_file(name) == (None if file is None else package / file)


def test_folders_without_init_are_packages_too(package: Path) -> None:
    (package.parent / "plain" / "inner").mkdir(parents=True)
    (package.parent / "plain" / "nets.py").touch()
    assert module_file("plain.nets") == package.parent / "plain" / "nets.py"
    assert module_file("plain.inner.nets") is None


def test_a_module_that_is_not_there_is_named_when_it_is_needed(package: Path) -> None:
    assert run_id("no_such_package.nets:Net") == run_id("no_such_package.nets:Net")


def test_references_of_runs_metrics_and_a_search_are_sent_to_workers_and_names_are_not(package: Path) -> None:
    model = "own_package.inner.nets:Net"
    (package / "parts.py").write_text(
        "from cnnsweep.losses.base import Loss\nfrom cnnsweep.metrics.base import Metric\n"
        "class Twice(Loss):\n    pass\nclass Half(Metric):\n    pass\n"
    )
    parts = package / "parts.py"
    params = f"params: {{model: [lenet, '{model}'], loss_function: [cross_entropy, '{parts}:Twice'], epochs: 1}}\n"
    text = f"name: s\ndataset: shapes\n{params}metrics: ['{parts}:Half']\n"
    for more in ("", "search: {method: random, runs: 2}\n"):
        spec = parse_sweep(text + more, "f")
        assert {*code_references(spec, expand_runs(spec).runs)} == {model, f"{parts}:Twice", f"{parts}:Half"}
