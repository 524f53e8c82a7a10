"""Imports point one way: down the list of the design."""

import ast
from pathlib import Path

import cnnsweep

PACKAGE = Path(cnnsweep.__file__).parent

# From top to bottom; what stands on one line may import each other.
LAYERS = [
    ["cli", "__main__"],
    ["api", "hearing"],
    ["refit"],
    ["sweep", "forecast"],
    ["legs", "roster"],
    ["workforce"],
    ["supervision"],
    ["closing", "exporting", "predicting"],
    ["preparation", "grouping", "remembered_groups", "evaluation", "asking"],
    ["evaluation_notes"],
    ["measuring", "evaluation_board"],
    ["restoring", "sample_images"],
    ["descriptions"],
    ["judging"],
    ["execution"],
    ["care"],
    ["watching"],
    ["comparison"],
    ["figures"],
    ["html"],
    ["report"],
    ["planning"],
    ["training"],
    ["data", "models", "fusion"],
    ["recording"],
    ["display"],
    ["search", "stopping"],
    ["spec"],
    ["staff", "randomness", "selection", "user_code", "interruption", "failures", "bounded_files", "free_memory"],
    ["records"],
    ["errors"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Torch-free as a whole, so that --help, reports, spec checks and plans answer at once.
LIGHT = [
    *("cli", "watching", "comparison", "html", "report", "display"),
    *("spec", "selection", "records", "errors", "planning", "stopping"),
]
HEAVY = {"torch", "torchvision", "pandas", "numpy", "tensorboard"}


def imports(path: Path) -> list[str]:
    """Return the module of every import outside TYPE_CHECKING blocks, those inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return found


def layer(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def test_imports_point_down():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "__init__.py":
            continue
        for module in imports(path):
            parts = module.split(".")
            if parts[0] != "cnnsweep" or len(parts) == 1:
                continue
            if RANK[layer(path)] > RANK[parts[1]]:
                upward.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert upward == []


def test_every_module_has_its_place():
    names = {layer(p) for p in PACKAGE.rglob("*.py")} - {"__init__"}
    assert names <= set(RANK)


def test_light_layers_import_nothing_heavy():
    heavy = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if layer(path) in LIGHT
        for module in imports(path)
        if module.split(".")[0] in HEAVY
    ]
    assert heavy == []
