"""Links, paths and commands of the documentation are right, and images are small and load nothing."""

import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cnnsweep.cli.app import app
from cnnsweep.config.load import load_sweep, parse_sweep
from cnnsweep.registry import Registry

PROJECT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        *PROJECT.glob("*.md"),
        *(PROJECT / "docs").rglob("*.md"),
        *(PROJECT / "sweeps").glob("*.md"),
    ]
}
IMAGES = sorted((PROJECT / "docs" / "images").iterdir())
OF_THE_PAST = {"CHANGELOG.md"}  # names what was there at the time


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_heading(page: str):
    for link in re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', PAGES[page]):
        target, _, heading = "".join(link).partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = (PROJECT / page).parent / target if target else PROJECT / page
        assert file.exists(), f"{page}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link


@pytest.mark.parametrize("page", sorted(set(PAGES) - OF_THE_PAST))
def test_every_path_in_code_marks_exists(page: str):
    roots = (PROJECT, PROJECT / "cnnsweep", PROJECT / "docs", PROJECT / "tests", PROJECT / "tests" / "faults")
    for path in re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|md|yaml))(?::\w+)?`", PAGES[page]):
        assert any((root / path).exists() for root in roots), f"{page}: {path}"


@cache
def options_of(command: str) -> str:
    outcome = CliRunner().invoke(app, [command, "--help"])
    assert outcome.exit_code == 0, command
    return outcome.output


@pytest.mark.parametrize("page", sorted(set(PAGES) - OF_THE_PAST - {"docs/commands.md"}))
def test_every_command_and_option_exists(page: str):
    code = re.findall(r"`([^`\n]+)`|^(?:    )+(?:\$ )?(cnnsweep .+)$", PAGES[page], re.MULTILINE)
    for line in ("".join(pair) for pair in code):
        if found := re.match(r"cnnsweep ([a-z]+)(.*)", line):
            command, rest = found[1], found[2].split("#")[0]
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest):
                assert option in options_of(command), f"{page}: {line}"
            options_of(command)


def test_the_search_of_its_page_is_the_file_that_comes_along():
    (search,) = re.findall(r"```yaml\n(.*?)```", PAGES["docs/search.md"], re.DOTALL)
    mine = parse_sweep(f"name: s\ndataset: fashion_mnist\nmodel: lenet\n{search}", "search.md")
    along = load_sweep(PROJECT / "sweeps" / "search.yaml")
    assert (mine.search, mine.when, mine.early_stop) == (along.search, along.when, along.early_stop)
    assert all(along.axes[key] == values for key, values in mine.axes.items())


def test_every_sweep_that_comes_along_is_listed():
    listed = set(re.findall(r"^\| \[(\w+\.yaml)\]", PAGES["sweeps/README.md"], re.MULTILINE))
    assert listed == {path.name for path in (PROJECT / "sweeps").glob("*.yaml")}


def test_every_page_is_linked_from_the_readme_or_from_an_index():
    linked = {
        ((PROJECT / page).parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", PAGES[page])
        if not target.startswith("http")
    }
    assert [page for page in PAGES if page != "README.md" and (PROJECT / page).resolve() not in linked] == []


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_images_are_small_load_nothing_and_are_used(image: Path):
    assert image.stat().st_size < 80_000
    assert any(f"images/{image.name}" in text for text in PAGES.values())
    if image.suffix == ".svg":
        text = image.read_text(encoding="utf-8")
        assert not re.search(r'(?:href="http|url\("?http|@import|<script)', text)


def test_every_package_has_a_paragraph_in_the_design():
    design = PAGES["docs/design.md"]
    package = Path(importlib.import_module("cnnsweep").__file__ or "").parent
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert {name for name in packages if f"**`{name}/`**" not in design} == set()
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("_")}
    assert {name for name in modules if f"`{name}`" not in design} == set()


KINDS = re.findall(r"^\| ([a-z ]+) \| `cnnsweep\.(\w+)` \| `(\w+)`: (.+) \|$", PAGES["docs/design.md"], re.MULTILINE)


def has_base(package: str, base: str) -> bool:
    file = PROJECT / "cnnsweep" / package / "base.py"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return re.search(rf"^(class {base}\(|from \S+ import {base}$)", text, re.MULTILINE) is not None


WITH_BASE = [(kind, package, base, methods) for kind, package, base, methods in KINDS if has_base(package, base)]


def test_the_design_lists_eleven_kinds():
    assert len(KINDS) == 11
    assert len(WITH_BASE) == 11


@pytest.mark.parametrize(("kind", "package", "base", "methods"), WITH_BASE, ids=[kind for kind, *_ in WITH_BASE])
def test_a_kind_has_a_registry_and_the_methods_of_the_design(kind: str, package: str, base: str, methods: str):
    module = importlib.import_module(f"cnnsweep.{package}.base")
    (registry,) = [value for value in vars(module).values() if isinstance(value, Registry)]
    assert (registry.kind, registry.package, registry.base) == (kind, package, getattr(module, base))
    for name, arguments in re.findall(r"`(\w+)(?:\(([^)]*)\))?`", methods.split(";")[0].split(", which returns")[0]):
        method = getattr(registry.base, name)
        if arguments:
            assert list(inspect.signature(method).parameters)[1:] == arguments.split(", ")
