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
import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from public_networks import (
    CLASSES,
    NO_NETWORK,
    NOT_BUILT,
    Network,
    calls_in,
    import_path,
    names_defined,
    network_files,
    networks_of,
)
from torch import Tensor, nn

from cnnsweep.errors import CnnSweepError
from cnnsweep.models.build import build_model
from cnnsweep.models.logits import logits_of
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import Learner, SingleLearner, forward_seed
from cnnsweep.types import CONSTANT, Hyperparameters, ModelChoice, Run

BATCH, STEPS, RATE = 3, 2, 1e-3
BYTES = 14 * 2**30  # of one process
TOLERANCE = 1e-6  # of the largest weight; rounding grows through many layers that are normalised over few images
CPU = torch.device("cpu")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a network.

    Attributes:
        torch, alone, fused: empty if it trained so, else why not.
        alone_difference, fused_difference: of a weight, against the plain loop and against alone, as a share of the
            largest; None where there is none.
        is_trained: False of one that was only fused.
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
    is_trained: bool = True

    @property
    def is_equal(self) -> bool:
        return self.alone_difference is not None and self.alone_difference <= TOLERANCE

    @property
    def is_fused(self) -> bool:
        return not self.fused and (self.fused_difference is not None or not self.is_trained) and not self.torch


class OutOfTimeError(Exception):
    """A network took too long."""


def main(arguments: Sequence[str]) -> None:
    """Measure the checkouts, or, in a process of its own, one file of one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+", metavar="CHECKOUT")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--json", type=Path, help="write every result here, a line each")
    parser.add_argument("--only", nargs="*", default=[""], help="files or networks whose name holds one of these")
    parser.add_argument(
        "--train", type=int, default=1000, help="so many of a file; of the others only whether they fuse"
    )
    parser.add_argument("--most-parameters", type=int, default=60_000_000, help="larger networks are named only")
    parser.add_argument("--seconds", type=int, default=600, help="for each way to train a network")
    parser.add_argument(
        "--arguments", nargs="*", default=[], metavar="FILE:NAME={...}", help="what to call a network with, as JSON"
    )
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--skip", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.file is not None:
        examine_file(options.checkouts[0], options.file, options)
        return
    results = []
    with contextlib.nullcontext() if options.json is None else options.json.open("w") as lines:
        for result in (result for checkout in options.checkouts for result in examine(checkout.resolve(), options)):
            results.append(result)
            if lines is not None:
                print(json.dumps(asdict(result)), file=lines, flush=True)
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
    command = [sys.executable, __file__, str(checkout), "--file", str(file), "--only", *options.only]
    command += ["--most-parameters", str(options.most_parameters), "--seconds", str(options.seconds)]
    command += ["--train", str(options.train)]
    command += ["--arguments", *options.arguments, "--skip", *skip]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    begun = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("begin "):
                begun = line.split(maxsplit=1)[1].strip()
            elif line.startswith("{"):
                yield Result(**json.loads(line)), begun
            elif line.startswith("none"):
                yield None, begun
                begun = ""
    if begun:
        yield Result(checkout.name, begun, torch=CRASH), begun


def examine_file(checkout: Path, file: Path, options: argparse.Namespace) -> None:
    """Print a JSON line for each network that a file defines."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _out_of_time)
    warnings.simplefilter("ignore")
    answer = sys.stdout
    hidden: Any = io.StringIO()
    calls = calls_in(checkout)
    given = {name: json.loads(text) for name, _, text in (one.partition("=") for one in options.arguments)}
    with contextlib.redirect_stdout(hidden), contextlib.redirect_stderr(hidden):
        place = import_path(checkout, file)
        seen: set[tuple[int, str]] = set()
        for name in names_defined(file):
            label = f"{file.relative_to(checkout).with_suffix('')}:{name}".replace("/", ".")
            if label in options.skip or not any(part in label for part in options.only):
                continue
            print(f"begin {label}", file=answer, flush=True)
            for network, arguments in networks_of(f"{place}:{name}", calls.get(name, []), given.get(label)):
                about = network.parameters, str(network.shape)
                if about in seen:  # a class, and the function that makes it
                    continue
                if network.parameters:
                    seen.add(about)
                shown = ", ".join(f"{key}={value}" for key, value in arguments.items())
                result = Result(
                    checkout.name,
                    f"{label}({shown})" if shown else label,
                    network.parameters,
                    "×".join(map(str, network.shape)),
                    torch=reason_not_to_try(network, options),
                )
                if not result.torch:
                    examine = only_fuse if len(seen) > options.train else examine_network
                    result = examine(network, result, options.seconds)
                print(json.dumps(asdict(result)), file=answer, flush=True)
            print("none", file=answer, flush=True)


def _out_of_time(*_: Any) -> None:
    raise OutOfTimeError


def reason_not_to_try(network: Network, options: argparse.Namespace) -> str:
    """Return why a network is not trained; empty if it is."""
    if network.parameters > options.most_parameters:
        return f"not tried: more than {options.most_parameters / 1e6:g} million parameters"
    return network.error


def examine_network(network: Network, result: Result, seconds: int) -> Result:
    """Return a result with what becomes of the network, in so many seconds for each way to train it."""
    about = network.choice, network.shape, network.classes
    found = within(seconds, lambda: plain_steps(*about, torch.contiguous_format))
    if isinstance(found, str):
        return replace(result, torch=found)
    runs = runs_of(network.choice)
    alone = within(seconds, lambda: [program_steps([run], *about[1:])[0] for run in runs])
    if isinstance(alone, str):
        return replace(result, alone=alone, fused="does not train alone")
    result = replace(result, alone_difference=difference(alone[0], found))
    if not result.is_equal:
        # Dropout draws in the order in which values lie in memory, so that the loop of the same order counts.
        same_order = within(seconds, lambda: plain_steps(*about, torch.channels_last))
        if not isinstance(same_order, str):
            result = replace(result, alone_difference=difference(alone[0], same_order))
    fused = within(seconds, lambda: program_steps(runs, *about[1:]))
    if isinstance(fused, str):
        return replace(result, fused=fused)
    return replace(result, fused_difference=max(map(difference, fused, alone)))


def only_fuse(network: Network, result: Result, seconds: int) -> Result:
    """Return a result with whether the network fuses, without training it."""
    about = runs_of(network.choice), network.shape, network.classes, CPU, "fp32"
    made = within(seconds, lambda: FusedLearner(*about))
    return replace(result, is_trained=False, fused=made if isinstance(made, str) else "")


def within(seconds: int, work: Callable[[], Value]) -> Value | str:
    """Return what work returns, or in words why it does not."""
    signal.alarm(seconds)
    try:
        return work()
    except OutOfTimeError:
        return f"not within {seconds} s"
    except Exception as error:  # whatever a stranger's code raises
        return reason(error)
    finally:
        signal.alarm(0)


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
                schedule=CONSTANT,
                label_smoothing=0.0,
                grad_clip=None,
                augment=(),
                seed=seed,
            ),
            settings={},
            trial_id=str(seed),
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
    make: Callable[..., Learner] = FusedLearner if len(runs) > 1 else lambda one, *about: SingleLearner(one[0], *about)
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
    if result.torch or not result.is_trained:
        return f"{result.network}: {result.torch or result.fused or 'fuses, not trained'}"
    alone = result.alone or f"alone {result.alone_difference}"
    return f"{result.network}: trains, {alone}, {result.fused or f'fused {result.fused_difference}'}"


def table(results: Sequence[Result]) -> str:
    """Return a row of Markdown for each network."""
    lines = [
        "| network | parameters | images | in PyTorch | here, alone | equal | fused | difference |",
        "|---|--:|---|---|---|---|---|--:|",
    ]
    for r in results:
        is_left_out = bool(r.torch) or not r.is_trained
        alone = "–" if is_left_out else (r.alone or "yes")
        equal = "–" if is_left_out or r.alone else ("yes" if r.is_equal else f"no: {r.alone_difference:.0e}")
        fused = "–" if r.torch else (r.fused or "yes")
        shown = "–" if r.fused_difference is None else f"{r.fused_difference:.0e}"
        trains = r.torch or ("yes" if r.is_trained else "not trained")
        lines.append(
            f"| {r.repository}: {r.network} | {r.parameters:,} | {r.images} | {trains} | {alone} | {equal} "
            f"| {fused} | {shown} |".replace("\n", " ")
        )
    return "\n".join(lines) + "\n"


def totals(results: Sequence[Result]) -> str:
    """Return a row of Markdown for each repository, and one for all; parts of networks are no networks."""
    lines = [
        "| repository | networks | built in PyTorch | trained there | train here | equal | fuse "
        "| of these trained so, and equal |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    repositories = list(dict.fromkeys(result.repository for result in results))
    for repository in [*repositories, "all"]:
        own = [r for r in results if repository in (r.repository, "all") and not r.torch.startswith(NO_NETWORK)]
        built = [result for result in own if not result.torch.startswith(NOT_BUILT)]
        trained = [result for result in built if not result.torch and result.is_trained]
        fused = [result for result in built if result.is_fused]
        counts = (
            len(own),
            len(built),
            len(trained),
            sum(not result.alone for result in trained),
            sum(result.is_equal for result in trained),
            len(fused),
            sum(r.fused_difference is not None and r.fused_difference <= TOLERANCE for r in fused),
        )
        lines.append(f"| {repository} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
