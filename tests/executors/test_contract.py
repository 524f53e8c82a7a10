"""What holds for every executor: it trains what it is given, tells everything, and nobody can say who it was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract_tasks import (
    ADAM,
    NETS,
    SGD,
    Notes,
    alone,
    groups_of_every_kind,
    loads_of,
    make_run,
    memory_task,
    streamed_task,
    together,
)
from executors import ALL, ELSEWHERE, EXECUTORS

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.errors import FolderError, FusionError
from cnnsweep.executors.base import TASK, Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import Decision, FailureKind, ModelChoice, RunStatus


@pytest.fixture(scope="module")
def nets(tmp_path_factory) -> Iterator[Path]:
    """A person's own model, as a file and, beside it, as a module that can be imported."""
    folder = tmp_path_factory.mktemp("nets")
    (folder / "nets.py").write_text(NETS)
    (folder / "contract_nets.py").write_text(NETS)
    sys.path.insert(0, str(folder))
    yield folder / "nets.py"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def task() -> DataModule:
    return memory_task()


@pytest.fixture(scope="module", params=ALL)
def executor(request, task, nets) -> Iterator[Executor]:
    """One for all tests: its workers train for one after the other, as they do for the rounds of a search."""
    opened = EXECUTORS[request.param](task)
    yield opened
    opened.close()
    opened.close()  # no one minds


def faulty(nets: Path, fault: str, name: str = "faulty", **changes):
    return make_run(name, model=ModelChoice(f"{nets}:Net", {"fault": fault}), **changes)


def train(executor, groups, decide=None, checkpoints=None) -> Notes:
    notes = Notes(decide, checkpoints)
    executor.execute(loads_of(groups), notes)
    return notes


def test_everything_is_bit_for_bit_what_this_process_comes_to(executor, task, nets):
    check_bits(executor, task, nets)


def test_ray_comes_to_the_same_bits(task, nets):
    """The one test on Ray that is not in its long suite: it is the one that nothing else implies."""
    executor = EXECUTORS["ray"](task)
    check_bits(executor, task, nets)
    executor.close()


def check_bits(executor: Executor, task: DataModule, nets: Path) -> None:
    groups = groups_of_every_kind(nets, "contract_nets")
    notes, here = train(executor, groups), train(InProcessExecutor(task), groups)
    assert here.ends["diverges"].status is here.ends["fused 1e+30"].status is RunStatus.DIVERGED
    assert sorted(notes.everything["reports"]) == sorted(here.everything["reports"])
    for run_id, reports in here.everything["reports"].items():
        assert notes.everything["reports"][run_id] == reports, run_id
    assert notes.everything["ends"] == here.everything["ends"]
    assert sorted(notes.started) == sorted(here.started)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_images_that_are_read_from_disk_are_the_same_images(name, tmp_path, nets):
    task = streamed_task(tmp_path)
    executor = EXECUTORS[name](task)
    groups = [*alone(make_run("a", epochs=1)), together(*(make_run(f"b{n}", seed=n, epochs=1) for n in range(2)))]
    try:
        assert train(executor, groups).everything == train(InProcessExecutor(memory_task()), groups).everything
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (Decision.STOP, RunStatus.STOPPED),
        (Decision.INTERRUPT, RunStatus.INTERRUPTED),
    ],
)
def test_decisions_go_back(executor, decision, status):
    def decide(run_id, epoch):
        return decision if epoch == 1 and run_id != "goes on" else Decision.CONTINUE

    runs = [make_run(name, SGD) for name in ("a", "goes on", "b")]
    notes = train(executor, [*alone(make_run("alone")), together(*runs)], decide)
    ended = {run_id: outcome.status for run_id, outcome in notes.ends.items()}
    assert ended == {"alone": status, "a": status, "b": status, "goes on": RunStatus.FINISHED}
    assert {run_id: len(reports) for run_id, reports in notes.reports.items()} == {
        "alone": 1, "a": 1, "b": 1, "goes on": 2,
    }  # fmt: skip


def test_runs_wait_at_their_goals_wherever_they_are(executor):
    runs = older, _ = [make_run(name, SGD, epochs=4) for name in ("older", "newer")]
    first = train(executor, [together(older).up_to({"older": 1})])
    assert first.ends["older"].status is RunStatus.WAITING
    notes = train(executor, [together(*runs).up_to({"older": 3, "newer": 2})], checkpoints=first.checkpoints)
    assert {run_id: len(reports) for run_id, reports in notes.reports.items()} == {"older": 2, "newer": 2}
    assert {outcome.status for outcome in notes.ends.values()} == {RunStatus.WAITING}


def test_runs_go_on_from_their_checkpoints(executor, task):
    runs = [make_run(f"run{number}", ADAM, lr=0.01 * (1 + number), epochs=3) for number in range(3)]
    groups = [*alone(runs[0]), together(*runs[1:])]
    whole = train(InProcessExecutor(task), groups)
    first = train(executor, groups, lambda _, epoch: Decision.INTERRUPT if epoch == 2 else Decision.CONTINUE)
    rest = train(executor, groups, checkpoints=first.checkpoints)
    assert sorted(rest.resumptions) == [["run0"], ["run1", "run2"]]
    for run_id, reports in whole.everything["reports"].items():
        assert rest.everything["reports"][run_id] == reports[2:]


def test_what_is_decided_about_runs_that_go_on_holds(executor):
    first = train(executor, alone(make_run("a")), lambda *_: Decision.INTERRUPT)
    rest = train(executor, alone(make_run("a")), lambda *_: Decision.STOP, first.checkpoints)
    assert rest.reports == {}
    assert rest.ends["a"].status is RunStatus.STOPPED


def test_a_model_that_raises_is_a_failed_run_with_its_traceback(executor, nets):
    notes = train(executor, alone(faulty(nets, "raises"), make_run("b")))
    failed = notes.ends["faulty"]
    assert (failed.status, failed.failure) == (RunStatus.FAILED, FailureKind.USER_CODE)
    assert failed.cause == "ValueError: an idea that does not work"
    assert "nets.py" in failed.details
    assert "in fail" in failed.details
    assert notes.ends["b"].status is RunStatus.FINISHED


def test_a_group_that_cannot_go_on_is_split(executor, nets):
    runs = [faulty(nets, "raises", f"faulty{seed}", seed=seed) for seed in range(2)]
    notes = train(executor, [together(*runs), *alone(make_run("b"))])
    ((parts, cause),) = notes.splits
    assert parts == [["faulty0"], ["faulty1"]]
    assert "an idea that does not work" in cause
    assert {notes.ends[run.id].failure for run in runs} == {FailureKind.USER_CODE}
    assert notes.ends["b"].status is RunStatus.FINISHED


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_a_model_prints_is_heard(name, task, nets, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    for variable, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(variable, value)  # which has neither star nor umlaut
    executor = EXECUTORS[name](task)
    run = make_run("a", model=ModelChoice(f"{nets}:Net", {"says": "here ★ I äm \udcf6"}))
    try:
        notes = train(executor, alone(run))
        notes_of_more = train(executor, alone(make_run("b")))
    finally:
        executor.close()
    said = [*notes.said, *notes_of_more.said]
    assert any(text.endswith(": here ★ I äm \\udcf6") for text in said), said
    assert notes.ends["a"].status is RunStatus.FINISHED


def test_nothing_further_starts_once_the_watcher_wants_no_more(executor):
    notes = Notes()

    def decide(run_id, epoch):
        notes.is_stopping = True
        return Decision.INTERRUPT

    notes._decide = decide
    executor.execute(loads_of(alone(*(make_run(f"run{number}") for number in range(6)))), notes)
    assert 1 <= len(notes.started) <= executor.slots + 1
    assert {outcome.status for outcome in notes.ends.values()} == {RunStatus.INTERRUPTED}
    assert len(notes.ends) == len(notes.started)


def test_nothing_to_do_is_done_at_once(executor):
    assert train(executor, []).ends == {}


def number_of_parts(task: DataModule, more: int) -> tuple[int, int, int]:
    return len(task.parts) + more, os.getpid(), int(task.images.image_shape[1])


def refuse(_task: DataModule) -> None:
    raise FusionError("does not fuse")


def divide_by_zero() -> float:
    return 1 / 0


def test_a_function_is_called_where_groups_train(executor):
    value, process, size = executor.call(number_of_parts, TASK, 5)
    assert (value, size) == (7, 12)
    assert (process == os.getpid()) == isinstance(executor, InProcessExecutor)


def paint(task: DataModule, colour: int) -> int:
    """Change a pixel; return what it was."""
    assert isinstance(task.images, MemoryImages)
    before = int(task.images.images[0, 0, 0, 0])
    task.images.images[0, 0, 0, 0] = colour
    return before


@pytest.mark.parametrize("name", ["in-process", "processes"])  # for Ray, `test_ray.py` looks at the nodes' memory
def test_images_are_the_same_memory_wherever_a_group_trains_on_this_machine(name, task):
    executor = EXECUTORS[name](task)
    before = executor.call(paint, TASK, 77)
    assert paint(task, before) == 77
    assert executor.call(paint, TASK, before) == before
    executor.close()


def test_an_error_of_ours_arrives_as_itself_and_harms_nobody(executor):
    with pytest.raises(FusionError, match="does not fuse"):
        executor.call(refuse, TASK)
    with pytest.raises((RuntimeError, ZeroDivisionError), match="division by zero"):
        executor.call(divide_by_zero)
    assert train(executor, alone(make_run("a"))).ends["a"].status is RunStatus.FINISHED


@pytest.mark.parametrize(
    "error", [FolderError("the disk is gone"), pytest.param(KeyboardInterrupt(), marks=pytest.mark.faults)], ids=repr
)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_an_error_of_the_watcher_comes_out_and_leaves_nobody_behind(name, error, task, nets):
    executor, notes = EXECUTORS[name](task), Notes()
    processes = {executor.call(number_of_parts, TASK, 0)[1]}

    def fail(_reports):
        raise error

    notes.on_epoch_end = fail
    with pytest.raises(type(error)):
        executor.execute(loads_of(alone(make_run("a"), make_run("b"))), notes)
    end = time.monotonic() + 5
    while time.monotonic() < end and any(map(is_alive, processes)):
        time.sleep(0.01)  # a cluster ends what it is told to in its own time
    assert not any(map(is_alive, processes))
    executor.close()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_serve_again_and_again(executor):
    before = {executor.call(number_of_parts, TASK, 0)[1] for _ in range(4)}
    for _ in range(2):
        train(executor, alone(make_run("a", epochs=1)))
    assert {executor.call(number_of_parts, TASK, 0)[1] for _ in range(4)} & before
