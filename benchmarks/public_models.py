"""Whether other people's networks train here as they do in PyTorch: alone, and fused.

Walks checkouts of repositories of networks, builds every network that takes small images without more to be told, and
takes two steps of SGD with momentum three times: in a plain loop of PyTorch, here alone, and here as one of a fused
pair. All compute in float64, so that what differs by more than rounding is wrong. A network is a class or function
whose module maps images (N, 3, 32, 32), or larger ones where it needs them, to (N, classes).

Every file is imported in a process of its own, with limits of time and memory; whoever runs this trusts the checkout.

    python benchmarks/public_models.py CHECKOUT [CHECKOUT ...] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.errors import CnnSweepError, FusionError
from cnnsweep.models.logits import logits_of, named_tensors
from cnnsweep.models.registry import build_model
from cnnsweep.records import Augmentation, Hyperparameters, ModelChoice, Run, Schedule
from cnnsweep.training.fused_program import FusedProgram
from cnnsweep.training.program import PlainProgram, Program, forward_seed
from cnnsweep.user_code import load_object

CLASSES, BATCH, STEPS, RATE = 10, 3, 2, 1e-3
SHAPES = ((3, 32, 32), (1, 28, 28), (1, 32, 32), (3, 64, 64), (3, 224, 224))
# For factories that must be told how deep a network is.
DEPTHS = (20, 28, 29, 11, 18)
SECONDS, BYTES = 600, 12 * 2**30  # of one network
TOLERANCE = 1e-6  # of the largest weight; rounding grows through many layers that are normalised over few images
CPU = torch.device("cpu")
# Files that train or set up when they are imported, and are no networks.
NOT_NETWORKS = frozenset(["setup", "train", "main", "test", "conftest", "hubconf"])


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a network.

    Attributes:
        torch, alone, fused: empty if it trained so, else why not.
        alone_difference, fused_difference: of a weight, against the plain loop and against alone, as a share of the
            largest; None where there is none.
    """

    repository: str
    network: str
    parameters: int = 0
    images: str = ""
    torch: str = ""
    alone: str = ""
    fused: str = ""
    alone_difference: float | None = None
    fused_difference: float | None = None

    @property
    def is_equal(self) -> bool:
        return self.alone_difference is not None and self.alone_difference <= TOLERANCE

    @property
    def is_fused(self) -> bool:
        return not self.fused and self.fused_difference is not None


class OutOfTimeError(Exception):
    """A network took too long."""


def main(arguments: Sequence[str]) -> None:
    """Measure the checkouts, or, in a process of its own, one file of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+", metavar="CHECKOUT")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--json", type=Path, help="write every result here, a line each")
    parser.add_argument("--only", default="", help="files or networks whose name holds this")
    parser.add_argument("--most-parameters", type=int, default=60_000_000, help="larger networks are named only")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--skip", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.file is not None:
        examine_file(options.checkouts[0], options.file, options)
        return
    results = [result for checkout in options.checkouts for result in examine(checkout.resolve(), options)]
    if options.json is not None:
        options.json.write_text("".join(f"{json.dumps(asdict(result))}\n" for result in results))
    text = table(results) + "\n" + totals(results)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)


def examine(checkout: Path, options: argparse.Namespace) -> Iterator[Result]:
    """Yield a result for each network of a checkout, as it is found."""
    for file in network_files(checkout):
        seen: list[str] = []
        crashed = True
        while crashed:  # what kills the process is passed over the next time
            crashed = False
            for result, begun in in_process_of_its_own(checkout, file, seen, options):
                seen.append(begun)
                if result is not None:
                    print(one_line(result), file=sys.stderr, flush=True)
                    yield result
                    crashed = result.torch == CRASH


CRASH = "its process was killed"


def in_process_of_its_own(
    checkout: Path, file: Path, skip: Sequence[str], options: argparse.Namespace
) -> Iterator[tuple[Result | None, str]]:
    """Yield what the process that imports a file says: a network it begins with, then its result."""
    most = str(options.most_parameters)
    command = [sys.executable, __file__, str(checkout), "--file", str(file), "--most-parameters", most]
    command += ["--only", options.only, "--skip", *skip]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    begun = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("begin "):
                begun = line.split(maxsplit=1)[1].strip()
            elif line.startswith("{"):
                yield Result(**json.loads(line)), begun
                begun = ""
            elif line.startswith("none"):
                yield None, begun
                begun = ""
    if begun:
        yield Result(checkout.name, begun, torch=CRASH), begun


def network_files(checkout: Path) -> list[Path]:
    """Return the Python files that define modules, by their syntax alone."""
    found = []
    for file in sorted(checkout.rglob("*.py")):
        with contextlib.suppress(SyntaxError, ValueError):
            tree = ast.parse(file.read_text(errors="replace"))
            text = ast.dump(tree)
            is_network = file.stem not in NOT_NETWORKS and not file.stem.startswith("test_")
            if is_network and ("'Module'" in text or "'nn'" in text):
                found.append(file)
    return found


def examine_file(checkout: Path, file: Path, options: argparse.Namespace) -> None:
    """Print a JSON line for each network that a file defines."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _out_of_time)
    warnings.simplefilter("ignore")
    answer = sys.stdout
    hidden: Any = io.StringIO()
    with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
        place = import_path(checkout, file)
        seen: set[tuple[int, str] | None] = set()
        for name in names_defined(file):
            label = f"{file.relative_to(checkout).with_suffix('')}:{name}".replace("/", ".")
            if label in options.skip or options.only not in label:
                continue
            print(f"begin {label}", file=answer, flush=True)
            signal.alarm(SECONDS)
            try:
                result = examine_network(checkout.name, label, f"{place}:{name}", options.most_parameters)
            except (OutOfTimeError, MemoryError) as error:
                result = Result(checkout.name, label, torch=f"over the limit ({type(error).__name__})")
            finally:
                signal.alarm(0)
            about = None if result is None or not result.parameters else (result.parameters, result.images)
            is_again = about is not None and about in seen  # a class, and the function that makes it
            seen.add(about)
            print("none" if result is None or is_again else json.dumps(asdict(result)), file=answer, flush=True)


def _out_of_time(*_: Any) -> None:
    raise OutOfTimeError


def import_path(checkout: Path, file: Path) -> str:
    """Return what to import: a module of the package that a file is in, or the file; its root is the current folder."""
    root = file.parent
    while (root / "__init__.py").exists() and root != checkout:
        root = root.parent
    os.chdir(root)
    sys.path[:0] = [str(root), str(checkout)]
    return str(file) if file.parent == root else ".".join(file.relative_to(root).with_suffix("").parts)


def names_defined(file: Path) -> list[str]:
    """Return the classes and functions at the top of a file."""
    tree = ast.parse(file.read_text(errors="replace"))
    defined = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return [name for name in defined if not name.startswith("_")]


def examine_network(repository: str, label: str, reference: str, most_parameters: int) -> Result | None:
    """Return what becomes of a network; None if it is none."""
    found = find_network(reference)
    if found is None:
        return None
    choice, shape, classes, parameters = found
    about = Result(repository, label, parameters, "×".join(map(str, shape)))
    kept = {name: getattr(about, name) for name in ("repository", "network", "parameters", "images")}
    if parameters > most_parameters:
        return Result(**kept, torch=f"not tried: more than {most_parameters / 1e6:g} million parameters")
    outcome: dict[str, Any] = {}
    try:
        expected = plain_steps(choice, shape, classes, torch.contiguous_format)
    except OutOfTimeError:
        raise
    except Exception as error:  # whatever a stranger's code raises
        return Result(**kept, torch=reason(error))
    try:
        alone = [program_steps([run], shape, classes)[0] for run in runs_of(choice)]
    except OutOfTimeError:
        raise
    except Exception as error:
        return Result(**kept, alone=reason(error), fused="does not train alone")
    outcome["alone_difference"] = difference(alone[0], expected)
    if outcome["alone_difference"] > TOLERANCE:
        # Dropout draws in the order in which values lie in memory, so that the loop of the same order counts.
        with contextlib.suppress(RuntimeError):
            same_order = plain_steps(choice, shape, classes, torch.channels_last)
            outcome["alone_difference"] = difference(alone[0], same_order)
    try:
        fused = program_steps(runs_of(choice), shape, classes)
        outcome["fused_difference"] = max(map(difference, fused, alone))
    except FusionError as error:
        outcome["fused"] = reason(error)
    return Result(**kept, **outcome)


def find_network(reference: str) -> tuple[ModelChoice, tuple[int, int, int], int, int] | None:
    """Return how a network is built, for which images, how many classes it has, and its number of parameters."""
    try:
        made = load_object(reference)
        signature = inspect.signature(made)
    except (CnnSweepError, ValueError, TypeError):
        return None
    if inspect.isclass(made) and not issubclass(made, nn.Module):
        return None
    required = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    missing = set(required) - {"in_channels", "num_classes", "image_size", "depth"}
    if missing:
        return None
    choices = [ModelChoice(reference, {})] if "depth" not in required else []
    choices += [ModelChoice(reference, {"depth": depth}) for depth in DEPTHS if choices == [] or _takes_any(signature)]
    for choice in choices:
        for shape in SHAPES:
            answer = classes_of(choice, shape)
            if answer is not None:
                return choice, shape, *answer
    return None


def _takes_any(signature: inspect.Signature) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())


def classes_of(choice: ModelChoice, shape: tuple[int, int, int]) -> tuple[int, int] | None:
    """Return how many classes a network has and its number of parameters; None if it is no network for such images."""
    try:
        model = build_model(choice, shape, CLASSES, seed=0).eval()
        with torch.no_grad():
            output = model(torch.zeros(2, *shape))
    except (CnnSweepError, RuntimeError, ValueError, TypeError, AssertionError, IndexError, AttributeError):
        return None
    tensors = [output] if isinstance(output, Tensor) else [tensor for _, tensor in named_tensors(output)]
    sizes = [t.shape[1] for t in tensors if t.ndim == 2 and t.shape[0] == 2 and t.shape[1] > 1]
    if not sizes or not any(True for _ in model.parameters()):
        return None
    return CLASSES if CLASSES in sizes else sizes[0], sum(p.numel() for p in model.parameters())


def runs_of(choice: ModelChoice) -> list[Run]:
    """Return two runs, which differ in their seed."""
    return [
        Run(
            id=str(seed),
            name=str(seed),
            model=choice,
            hyperparameters=Hyperparameters(
                lr=RATE,
                batch_size=BATCH,
                shuffle=False,
                epochs=1,
                optimizer="sgd",
                momentum=0.9,
                nesterov=False,
                beta1=None,
                beta2=None,
                eps=None,
                weight_decay=5e-4,
                schedule=Schedule(),
                label_smoothing=0.0,
                grad_clip=None,
                augment=Augmentation(),
                seed=seed,
            ),
            settings={},
            configuration=str(seed),
        )
        for seed in range(2)
    ]


def batches(shape: tuple[int, int, int], classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the images (N, C, H, W) and labels (N,) of each step."""
    random = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        images = torch.randn(BATCH, *shape, generator=random, dtype=torch.float64)
        yield images, torch.randint(classes, (BATCH,), generator=random)


def plain_steps(
    choice: ModelChoice, shape: tuple[int, int, int], classes: int, order: torch.memory_format
) -> dict[str, Tensor]:
    """Return the weights after the steps of a loop as PyTorch's tutorials write it."""
    (run, _) = runs_of(choice)
    model = build_model(choice, shape, CLASSES, seed=0).to(torch.float64).to(memory_format=order).train()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=5e-4)
    for step, (images, labels) in enumerate(batches(shape, classes)):
        torch.manual_seed(forward_seed(run, 1, step))
        optimizer.zero_grad()
        output = model(images.contiguous(memory_format=order))
        nn.functional.cross_entropy(logits_of(output, classes), labels).backward()
        optimizer.step()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def program_steps(runs: Sequence[Run], shape: tuple[int, int, int], classes: int) -> list[dict[str, Tensor]]:
    """Return each run's weights after the steps of the program that trains it here."""
    make: Callable[..., Program] = FusedProgram if len(runs) > 1 else lambda one, *about: PlainProgram(one[0], *about)
    program = make(runs, shape, classes, CPU, "fp64")
    for step, (images, labels) in enumerate(batches(shape, classes)):
        seeds = [forward_seed(run, 1, step) for run in runs]
        program.train_step(
            images.contiguous(memory_format=torch.channels_last), labels[None], [RATE] * len(runs), seeds
        )
    return [
        {name: tensor.clone() for name, tensor in program.weights(position).items()} for position in range(len(runs))
    ]


def difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Return by how much a weight differs at most, as a share of the largest."""
    floating = [name for name, tensor in expected.items() if tensor.is_floating_point() and tensor.numel()]
    largest = max((float(expected[name].abs().max()) for name in floating), default=1.0)
    return max((float((found[name] - expected[name]).abs().max()) for name in floating), default=0.0) / largest


def reason(error: BaseException) -> str:
    """Return an error in one short line."""
    text = " ".join(str(error).split())
    return f"{'' if isinstance(error, CnnSweepError) else type(error).__name__ + ': '}{text}"[:200]


def one_line(result: Result) -> str:
    """Return what became of a network, for a terminal."""
    words = [result.torch or "trains", result.alone or f"alone {result.alone_difference}"]
    return f"{result.network}: {', '.join([*words, result.fused or f'fused {result.fused_difference}'])}"


def table(results: Sequence[Result]) -> str:
    """Return a row of Markdown for each network."""
    lines = [
        "| network | parameters | images | in PyTorch | here, alone | equal | fused | difference |",
        "|---|--:|---|---|---|---|---|--:|",
    ]
    for r in results:
        alone = "–" if r.torch else (r.alone or "yes")
        equal = "–" if r.torch or r.alone else ("yes" if r.is_equal else f"no: {r.alone_difference:.0e}")
        fused = "–" if r.torch else (r.fused or "yes")
        shown = "–" if r.fused_difference is None else f"{r.fused_difference:.0e}"
        lines.append(
            f"| {r.repository}: {r.network} | {r.parameters:,} | {r.images} | {r.torch or 'yes'} | {alone} | {equal} "
            f"| {fused} | {shown} |".replace("\n", " ")
        )
    return "\n".join(lines) + "\n"


def totals(results: Sequence[Result]) -> str:
    """Return a row of Markdown for each repository."""
    lines = [
        "| repository | networks | train in PyTorch | train here | equal | fused | fused and equal |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for repository in dict.fromkeys(result.repository for result in results):
        own = [result for result in results if result.repository == repository]
        trained = [result for result in own if not result.torch]
        fused = [result for result in trained if result.is_fused]
        right = sum((result.fused_difference or 0.0) <= TOLERANCE for result in fused)
        counts = (
            len(own),
            len(trained),
            sum(not result.alone for result in trained),
            sum(result.is_equal for result in trained),
            len(fused),
            right,
        )
        lines.append(f"| {repository} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
