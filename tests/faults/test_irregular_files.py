"""A pipe, a device, a link or a file without end in place of any file of a sweep: no command hangs or reads all."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from command_line import call
from PIL import Image
from small_sweeps import sweep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, devices and limits as Linux has them")

TEXT = """
name: small
dataset: {name: shapes, size: 12, classes: 3, train: 40, test: 6}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: []}
params: {lr: [0.01, 0.001], batch_size: 18, epochs: 1}
metric: val_loss
tensorboard: {graph: false, histograms: false, images: false}
"""
SECONDS = 20  # of wall clock, which a command that waits for a pipe would need for ever
MEGABYTES = 700  # that a command may take more than before


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 << 30)


def link_to_a_pipe(path: Path) -> None:
    pipe = next(folder for folder in path.parents if folder.name == "small").parent / "pipe"
    os.mkfifo(pipe)
    path.symlink_to(pipe)


def unreadable(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a pipe": link_to_a_pipe,
    "folder": lambda path: path.mkdir(),
    "without end": sparse,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "unreadable": unreadable,
}  # fmt: skip
OF_SWEEP = ["journal.jsonl", "results.json", "results.csv", "runs.csv", "sweep.yaml", "environment.json", ".lock",
            ".lock-owner.json"]  # fmt: skip
OF_RUN = ["best.safetensors", "best.json", "last.safetensors", "previous.safetensors", "last.pt", "batch_loss.csv",
          "log.txt", "evaluation.json", "events.out.tfevents.0000000001.x", "."]  # fmt: skip
COMMANDS = [
    "report {s}",
    "report {s} --run {r}",
    "report {s} --html {o}/page.html",
    "report {s} --format csv",
    "compare {s} {w}",
    "watch {s} --once",
    "doctor {s} -q",
    "clean {s} --dry-run",
    "evaluate {s} -q",
    "evaluate --checkpoint {s}/{r} --split val -q",
    "predict --checkpoint {s} {o}/a.png",
    "export --checkpoint {s}/{r} --format safetensors -o {o}/model -q",
    "logs {s} {r}",
    "logs {s}",
    "run {o}/small.yaml --out {s} --fuse off -q",
    "doctor {s} --repair -q",
    "run {o}/small.yaml --out {s} --fuse off -q",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    sweep(folder / "small", TEXT)
    Image.new("L", (12, 12)).save(folder / "a.png")
    (folder / "small.yaml").write_text(TEXT)
    return folder


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Let what hangs fail, and what would take memory without end raise MemoryError."""

    def too_long(_number: int, _frame: object) -> None:
        raise TimeoutError("it hangs")

    usual = signal.signal(signal.SIGALRM, too_long)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (MEGABYTES << 20), limits[1]))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, usual)
    resource.setrlimit(resource.RLIMIT_AS, limits)


def assert_commands_end(whole: Path, work: Path, name: str, kind: str, commands: Sequence[str]) -> None:
    """Assert it of each command, and that it ends as documented; each has the folder as the one before left it."""
    for file in ("a.png", "small.yaml"):
        shutil.copy(whole / file, work / file)
    folder = work / "small"
    shutil.copytree(whole / "small", folder)
    run = sorted(path.parent.name for path in folder.glob("*/best.safetensors"))[0]
    place = folder / name if name in OF_SWEEP else folder / run / name
    if name.startswith("events"):
        place = next((folder / run).glob("events.out.tfevents.*"))
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    KINDS[kind](place)
    for command in commands:
        words = [word.format(s=folder, w=whole / "small", r=run, o=work) for word in command.split()]
        signal.alarm(SECONDS)
        outcome = call(*words)
        signal.alarm(0)
        said = f"{command}: {outcome.code}\n{outcome.out[-500:]}\n{outcome.err[-3000:]}"
        assert "Traceback" not in outcome.err + outcome.out, said
        assert "it hangs" not in outcome.err + outcome.out, said
        assert "MemoryError" not in outcome.err + outcome.out, said
        assert outcome.code in (0, 1, 2, 3, 4), said
        if outcome.code in (2, 3, 4):
            assert outcome.err.startswith("error: ") or "\nerror: " in outcome.err, said


def kinds_of(_name: str) -> list[str]:
    return [kind for kind in KINDS if not (kind == "unreadable" and os.geteuid() == 0)]


SOME = ["report {s} --run {r}", "doctor {s} -q", "evaluate {s} -q", "run {o}/small.yaml --out {s} --fuse off -q"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("journal.jsonl", "pipe"),
        ("results.json", "link to a pipe"),
        ("best.safetensors", "link to a device"),
        ("last.safetensors", "without end"),
        ("batch_loss.csv", "pipe"),
        ("batch_loss.csv", "without end"),
        ("events.out.tfevents.0000000001.x", "pipe"),
        ("log.txt", "folder"),
        (".lock", "dangling link"),
    ],
)
@pytest.mark.usefixtures("no_waiting")
def test_some_commands_do_not_mind_what_lies_in_the_place_of_a_file(
    name: str, kind: str, whole: Path, tmp_path: Path
) -> None:
    assert_commands_end(whole, tmp_path, name, kind, SOME)


@pytest.mark.faults
@pytest.mark.parametrize("name", [*OF_SWEEP, *OF_RUN])
@pytest.mark.usefixtures("no_waiting")
def test_no_command_minds_what_lies_in_the_place_of_any_file(name: str, whole: Path, tmp_path: Path) -> None:
    for kind in kinds_of(name):
        work = tmp_path / kind.replace(" ", "-")
        work.mkdir()
        try:
            assert_commands_end(whole, work, name, kind, COMMANDS)
        except AssertionError as error:
            raise AssertionError(f"{kind} as {name}: {error}") from None
