"""Imports point one way: down the list of the design."""

import ast
from pathlib import Path

import cnnsweep

PACKAGE = Path(cnnsweep.__file__).parent

# From top to bottom; packages on one line do not import each other, except where a line says so.
LAYERS = [
    ["__init__"],
    ["cli", "__main__"],
    ["api", "refit"],
    ["sweep"],
    ["tuner"],
    ["executors", "evaluation", "maintenance", "html", "plots"],
    ["report"],
    ["training", "progress"],
    ["planning", "analysis", "fusion", "trackers"],
    ["config"],
    ["datasets", "models"],
    ["storage"],
    ["formatting", "callbacks", "pruners", "samplers"],
    ["optimizers", "schedules", "augmentations", "losses", "metrics"],
    ["registry", "signatures"],
    ["field_types"],
    ["plugins", "seeding", "scalars"],
    ["types"],
    ["errors", "_version"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Torch-free as a whole, so that --help, reports, spec checks and plans answer at once.
LIGHT = [
    *("cli", "analysis", "html", "report", "progress", "formatting"),
    *("config", "types", "errors", "planning", "pruners", "callbacks"),
]
HEAVY = {"torch", "torchvision", "pandas", "numpy", "tensorboard"}


FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """Return a file's dotted name; a package's is that of its `__init__.py`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path, *, typing_only: bool = True) -> list[str]:
    """Return the modules that a file imports: at its top, inside functions, in TYPE_CHECKING blocks, and by text.

    `from cnnsweep import errors` is `cnnsweep.errors`; `import cnnsweep`, and `from cnnsweep import __version__`, are
    `cnnsweep` itself.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out = {
        id(node)
        for block in ast.walk(tree)
        if not typing_only and isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in MODULES else node.module for name in inner]
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in set(MODULES) - {"cnnsweep"}
        ):  # which is a word too
            found.append(node.value)  # of importlib.import_module
    return list(dict.fromkeys(found))


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def ours(path: Path) -> list[str]:
    return [module for module in imports(path) if module.split(".")[0] == "cnnsweep"]


def cycles(graph: dict[str, list[str]]) -> list[list[str]]:
    """Return the modules that reach themselves, by the circles that they form (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        open_.append(module)
        for other in graph.get(module, []):
            if other not in order:
                visit(other)
            if other in open_:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            circle = open_[open_.index(module) :]
            del open_[-len(circle) :]
            if len(circle) > 1 or module in graph.get(module, []):
                found.append(sorted(circle))

    for module in graph:
        if module not in order:
            visit(module)
    return found


def test_imports_point_down():
    upward = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in FILES
        for module in ours(path)
        if RANK[layer(module_of(path))] > RANK[layer(module)]
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle_not_even_late_or_for_types():
    assert cycles({module_of(path): ours(path) for path in FILES}) == []


def test_circles_are_found():
    assert cycles({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": [], "e": ["e"]}) == [["b", "c"], ["e"]]
    assert cycles({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []


def test_every_kind_of_import_is_seen(tmp_path):
    file = tmp_path / "new.py"
    file.write_text(
        "import cnnsweep\nfrom cnnsweep import errors\nfrom cnnsweep.types import Run\n"
        "if TYPE_CHECKING:\n    from cnnsweep import api\n"
        "def late():\n    import cnnsweep.sweep\n    importlib.import_module('cnnsweep.tuner.loop')\n"
    )
    found = {"cnnsweep", "cnnsweep.errors", "cnnsweep.types", "cnnsweep.sweep", "cnnsweep.tuner.loop"}
    assert set(imports(file, typing_only=False)) == found
    assert set(imports(file)) == found | {"cnnsweep.api"}


def test_every_module_has_its_place():
    assert {layer(module) for module in MODULES} <= set(RANK)


def test_light_layers_import_nothing_heavy():
    heavy = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in FILES
        if layer(module_of(path)) in LIGHT
        for module in imports(path, typing_only=False)
        if module.split(".")[0] in HEAVY
    ]
    assert heavy == []
