"""The commands as a person types them: output, exit codes, no traceback."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_sweeps import SMALL, sweep, tables

from cnnsweep import cli
from cnnsweep.config.load import load_sweep
from cnnsweep.datasets.base import DATASETS

PROJECT = Path(__file__).parent.parent


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def cnnsweep(monkeypatch, capsys, tmp_path):
    """Call the command line in a folder of its own, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Outcome(ended.value.code or 0, captured.out, captured.err)

    return call


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "small"
    sweep(folder)
    return folder


COMMANDS = [
    "run",
    "plan",
    "augment",
    "report",
    "compare",
    "evaluate",
    "export",
    "predict",
    "watch",
    "logs",
    "doctor",
    "clean",
    "models",
    "datasets",
    "schema",
    "init",
]


def test_help_lists_every_command_with_what_it_does(cnnsweep):
    outcome = cnnsweep("--help")
    assert outcome.code == 0
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", outcome.out[outcome.out.index("Commands:") :], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS), "the reference and the tests below hold these"
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z].+", outcome.out, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_two_commands_to_copy(cnnsweep, command):
    outcome = cnnsweep(command, "--help")
    assert outcome.code == 0
    assert outcome.out.count(f"\n    cnnsweep {command}") >= (1 if command == "schema" else 2)


def test_the_command_reference_is_what_help_prints():
    import runpy

    page = runpy.run_path(str(PROJECT / "docs" / "commands.py"))
    assert page["COMMANDS"] == COMMANDS
    assert (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8") == page["reference"](), "run: make docs"


def test_help_and_the_spec_import_nothing_heavy():
    code = (
        "import sys; import cnnsweep.cli, cnnsweep.config.load, cnnsweep.report.terminal, cnnsweep.planning.batching;"
        "print(sorted({'torch', 'pandas', 'numpy', 'torchvision', 'tensorboard'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_run_trains_prints_the_best_and_the_next_commands(cnnsweep, small):
    outcome = cnnsweep("run", small)
    assert outcome.code == 0
    best = tables(Path("runs/small"))["sweep"]["best"]
    assert f"runs/small/{best}/best.safetensors" in outcome.out
    assert "cnnsweep evaluate runs/small" in outcome.out
    lines = outcome.err.splitlines()
    assert sum("epoch 2/2" in line for line in lines) == 2
    assert all("\x1b" not in line for line in lines)  # no terminal: plain lines


def test_run_quietly_prints_nothing(cnnsweep, small):
    outcome = cnnsweep("run", small, "--quiet", "--set", "params.epochs=1")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_run_as_json_gives_the_runs_on_stdout(cnnsweep, small):
    outcome = cnnsweep("run", small, "--json", "--out", "elsewhere", "--set", "params.epochs=1")
    assert outcome.code == 0
    content = json.loads(outcome.out)
    assert [run["status"] for run in content["runs"]] == ["finished", "finished"]
    assert content["sweep"]["best"] in [run["run"] for run in content["runs"]]
    assert Path("elsewhere/journal.jsonl").exists()


def test_run_and_report_print_the_same_json(cnnsweep, small):
    ran = cnnsweep("run", small, "--json", "--set", "params.epochs=1").out
    assert ran == cnnsweep("report", "runs/small", "--format", "json").out
    content = json.loads(ran)
    stored = tables(Path("runs/small"))
    assert content["sweep"] == stored["sweep"]  # by the names of results.json
    assert [run["rank"] for run in content["runs"]] == [1, 2]
    ranked = {run["run"]: run for run in content["runs"]}
    for row in stored["runs"]:
        stop = row.pop("stop")
        assert stop is None
        assert row.items() <= ranked[row["run"]].items()
        further = {"rank", "is_better_than_baseline", *(f"stop_{name}" for name in STOP)}
        assert ranked[row["run"]].keys() - row.keys() == further


STOP = ("epoch", "value", "threshold", "compared", "rule")


def test_dry_run_shows_the_runs_and_trains_nothing(cnnsweep, small):
    outcome = cnnsweep("run", small, "--dry-run")
    assert outcome.code == 0
    assert "small: 2 runs, 4 epochs" in outcome.out
    assert not Path("runs").exists()
    listed = json.loads(cnnsweep("run", small, "--dry-run", "--json").out)
    assert [run["lr"] for run in listed] == [0.01, 0.001]


def test_device_and_set_override_the_file_and_are_recorded(cnnsweep, small):
    cnnsweep("run", small, "--device", "cpu", "--set", "params.lr=0.1", "--set", "params.epochs=1", "-q")
    frozen = yaml.safe_load(Path("runs/small/sweep.yaml").read_text())
    assert frozen["device"] == "cpu"
    assert frozen["params"]["lr"] == 0.1
    (first, *_) = Path("runs/small/journal.jsonl").read_text().splitlines()
    assert json.loads(first)["overrides"] == ["params.lr=0.1", "params.epochs=1", "device=cpu"]


def test_a_run_that_diverges_gives_exit_code_1(cnnsweep, small):
    outcome = cnnsweep("run", small, "--set", "params.optimizer=sgd", "--set", "params.lr=1.0e9")
    assert outcome.code == 1
    assert "diverged" in outcome.out


def test_an_interrupted_sweep_prints_the_command_that_goes_on(cnnsweep, small, monkeypatch):
    import os
    import signal

    from cnnsweep.storage.writer import SweepWriter

    write = SweepWriter.writing_epoch

    def interrupt_and_write(recorder, reports):
        os.kill(os.getpid(), signal.SIGINT)
        return write(recorder, reports)

    monkeypatch.setattr(SweepWriter, "writing_epoch", interrupt_and_write)
    outcome = cnnsweep("run", small, "--out", "my sweep", "--fresh", "--yes")
    assert outcome.code == 130
    assert outcome.err.endswith(f"interrupted; resume with: cnnsweep run {small} --out 'my sweep'\n")


def test_fresh_asks_and_without_anyone_to_ask_wants_yes(cnnsweep, small):
    cnnsweep("run", small, "-q", "--set", "params.epochs=1")
    (Path("runs/small") / "notes.txt").write_text("mine")
    before = Path("runs/small/journal.jsonl").read_bytes()
    refused = cnnsweep("run", small, "--fresh", "-q")
    assert refused.code == 2
    assert refused.err == (
        "error: --fresh deletes the results in runs/small; add --yes to confirm without a terminal\n"
    )
    assert Path("runs/small/journal.jsonl").read_bytes() == before
    assert cnnsweep("run", small, "--fresh", "--yes", "-q", "--set", "validation=0.2").code == 0
    assert (Path("runs/small") / "notes.txt").exists()
    assert tables(Path("runs/small"))["sweep"]["validation"] == 0.2


def test_another_sweep_in_the_folder_gives_exit_code_3(cnnsweep, small):
    cnnsweep("run", small, "-q", "--set", "params.epochs=1")
    outcome = cnnsweep("run", small, "--set", "validation=0.5")
    assert outcome.code == 3
    assert "\nerror: runs/small: holds a sweep whose results cannot be compared" in outcome.err


def test_a_wrong_sweep_file_gives_exit_code_2_and_every_mistake(cnnsweep, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: wrong\ndataset: shapes\nmodel: lenett\nparams: {lr: -1, epochs: many}\n")
    outcome = cnnsweep("run", path)
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "did you mean 'lenet'?" in lines[0]


def test_missing_data_gives_exit_code_4_and_says_which_files(cnnsweep, small):
    outcome = cnnsweep("run", small, "--set", "dataset={name: image_folder, path: nowhere}")
    assert outcome.code == 4
    assert "nowhere" in outcome.err


@pytest.mark.parametrize("arguments", [["run"], ["run", "--bogus"], ["nonsense"], ["report", "--top", "-1", "x"]])
def test_wrong_usage_gives_exit_code_2(cnnsweep, arguments):
    outcome = cnnsweep(*arguments)
    assert outcome.code == 2
    assert "Usage: cnnsweep" in outcome.err


def test_report_of_a_folder_and_of_its_file_are_the_same(cnnsweep, trained):
    folder, file = cnnsweep("report", trained), cnnsweep("report", trained / "results.json")
    assert folder.code == 0
    assert folder.out == file.out
    assert "Mean val_accuracy by trial" in folder.out


@pytest.mark.parametrize("style", ["markdown", "csv", "json"])
def test_report_in_other_formats_ranks_the_same(cnnsweep, trained, style):
    outcome = cnnsweep("report", trained, "--format", style, "--top", "1")
    assert outcome.code == 0
    (best,) = [run for run in tables(trained)["runs"] if run["run"] == tables(trained)["sweep"]["best"]]
    assert str(best["lr"] if style == "markdown" else best["run"]) in outcome.out


def test_report_of_one_run_plots_the_loss_of_every_batch(cnnsweep, trained):
    run = tables(trained)["runs"][0]["run"]
    outcome = cnnsweep("report", trained, "--run", run)
    assert outcome.code == 0
    assert "batch" in outcome.out.lower()
    assert cnnsweep("report", trained, "--run", run, "--format", "csv").code == 2
    assert cnnsweep("report", trained, "--run", "nonsense").code == 2


def test_a_sweep_that_gives_up_says_why_and_how_to_go_on(cnnsweep, small, monkeypatch):
    from cnnsweep.training.learner import SingleLearner

    def fail(*_arguments):
        raise KeyError("x")

    monkeypatch.setattr(SingleLearner, "train_step", fail)
    outcome = cnnsweep("run", small, "--max-failures", 1, "--fuse", "off", "-q")
    assert outcome.code == 1
    assert outcome.err.splitlines()[1:] == [
        "stopped: the run failed (cnnsweep: KeyError: 'x'); 1 run unfinished",
        f"fix the cause, then resume with: cnnsweep run {small} --max-failures 1 --fuse off -q --retry-failed",
        "(--max-failures 0 never stops)",
    ]
    shown = cnnsweep("logs", "runs/small")
    assert shown.code == 0
    assert re.match(r"lr=0.01-\w+  failed \(cnnsweep\): KeyError: 'x'\n\n", shown.out)
    assert "Traceback (most recent call last):\n  File " in shown.out
    assert json.loads(cnnsweep("logs", "runs/small", "--json").out)[0]["failure"] == "cnnsweep"
    assert "Traceback" in cnnsweep("logs", "runs/small", "lr=0.01", "--follow").out
    assert cnnsweep("run", small, "--max-failures", 0, "--retry-failed", "--fuse", "off", "-q").code == 1
    listed = cnnsweep("logs", "runs/small").out.splitlines()
    ends = [re.split("  |/", line)[-1] for line in listed]
    assert ends == ["failed (cnnsweep): KeyError: 'x'", "log.txt"] * 2


def test_logs_of_a_run_that_is_not_there_names_the_nearest(cnnsweep, trained):
    outcome = cnnsweep("logs", trained, "lr=0.02")
    assert outcome.code == 2
    assert "no run 'lr=0.02' in sweep 'small'; did you mean 'lr=0.0" in outcome.err
    assert cnnsweep("logs", trained).out.startswith("no run failed or diverged")
    (lines,) = [json.loads(cnnsweep("logs", trained, "lr=0.01", "--json").out)["lines"]]
    assert lines[-1].endswith("  finished")
    for wrong in (["--follow"], ["lr=0.01", "--follow", "--json"]):
        assert cnnsweep("logs", trained, *wrong).code == 2


def test_report_of_nothing_gives_exit_code_4(cnnsweep, tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        outcome = cnnsweep("report", path)
        assert outcome.code == 4
        assert outcome.err.startswith("error: ")


@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_evaluate_agrees_with_what_training_measured(cnnsweep, trained, split):
    best = tables(trained)["sweep"]["best"]
    outcome = cnnsweep("evaluate", "--checkpoint", trained, "--split", split, "--json", "-q")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert found["run"] == best
    assert found["images"] == {"test": 30, "val": 6, "train": 54}[split]
    assert sum(map(sum, found["confusion"])) == found["images"]
    assert found["accuracy"] == sum(found["confusion"][k][k] for k in range(3)) / found["images"]
    if split == "val":
        (run,) = [row for row in tables(trained)["runs"] if row["run"] == best]
        assert found["accuracy"] == pytest.approx(run["val_accuracy"], rel=1e-12)
        assert found["loss"] == pytest.approx(run["val_loss"], rel=1e-6)


def test_evaluate_takes_a_file_a_run_and_a_sweep(cnnsweep, trained):
    best = trained / tables(trained)["sweep"]["best"]
    outputs = {cnnsweep("evaluate", "--checkpoint", p).out for p in (trained, best, best / "best.safetensors")}
    assert len(outputs) == 1
    (output,) = outputs
    assert "test images are right" in output
    assert "circle" in output
    assert "Confusion matrix" in output


def test_evaluate_refuses_what_is_no_checkpoint(cnnsweep, trained, tmp_path):
    best = trained / tables(trained)["sweep"]["best"]
    for path, message in [
        (tmp_path / "gone", "no such file or folder"),
        (tmp_path, "holds neither best.safetensors (a run's folder) nor results.json (a sweep's folder)"),
        (best / "log.txt", "not a checkpoint to evaluate; give a best.safetensors, or a run's folder"),
    ]:
        outcome = cnnsweep("evaluate", "--checkpoint", path)
        assert outcome.code == 4
        assert outcome.err == f"error: {path}: {message}\n"
    assert cnnsweep("evaluate", "--checkpoint", best, "--split", "all").code == 2


def test_evaluate_runs_no_code_that_a_checkpoint_names_unless_allowed(cnnsweep, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "from pathlib import Path\n"
        "Path('imported').touch()\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(144, 3)\n"
        "    def forward(self, x):\n"
        "        return self.layer(x.flatten(1))\n"
    )
    sweep(tmp_path / "s", overrides=[f"model={tmp_path}/net.py:Net", "params.epochs=1", "params.lr=0.01"])
    Path("imported").unlink()
    for name in [n for n in sys.modules if n.startswith("cnnsweep_user_")]:
        del sys.modules[name]
    refused = cnnsweep("evaluate", "--checkpoint", tmp_path / "s")
    assert refused.code == 4
    assert "names code of its own" in refused.err
    assert not Path("imported").exists()
    assert cnnsweep("evaluate", "--checkpoint", tmp_path / "s", "--allow-code", "-q").code == 0


def test_init_writes_a_file_that_runs_and_never_writes_over_one(cnnsweep):
    outcome = cnnsweep("init", "first.yaml")
    assert outcome.code == 0
    assert outcome.out == "wrote first.yaml; next: cnnsweep run first.yaml\n"
    assert cnnsweep("run", "first.yaml", "--dry-run").code == 0
    before = Path("first.yaml").read_text()
    refused = cnnsweep("init", "first.yaml")
    assert refused.code == 2
    assert "already exists" in refused.err
    assert Path("first.yaml").read_text() == before
    assert cnnsweep("init", "first.yaml", "--force").code == 0
    wrong = cnnsweep("init", "second.yaml", "--model", "resnt18")
    assert wrong.code == 2
    assert "did you mean 'resnet18'?" in wrong.err
    assert not Path("second.yaml").exists()


def test_models_and_datasets_are_listed(cnnsweep):
    listed = cnnsweep("models").out
    assert "lenet" in listed
    assert "resnet18" in listed
    assert "resnet18" in json.loads(cnnsweep("models", "--json").out)["torchvision"]
    assert "fashion_mnist" in cnnsweep("datasets").out
    assert {"shapes", "cifar10"} <= {row["name"] for row in json.loads(cnnsweep("datasets", "--json").out)}


def test_schema_is_json(cnnsweep):
    schema = json.loads(cnnsweep("schema").out)
    assert {"name", "dataset", "model", "params"} <= set(schema["properties"])


def test_the_sweeps_that_come_with_the_project_load(cnnsweep):
    for path in sorted((PROJECT / "sweeps").glob("*.yaml")):
        outcome = cnnsweep("run", path, "--dry-run")
        assert outcome.code == 0, outcome.err


def test_a_closed_pipe_is_no_error(trained):
    command = f"'{sys.executable}' -m cnnsweep report '{trained}' --format csv | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout in ("0\n", "141\n")  # 141: it noticed


def test_hostile_text_in_an_error_reaches_the_terminal_escaped(cnnsweep, tmp_path):
    outcome = cnnsweep("report", tmp_path / "a\x1b[31mb")
    assert "\x1b" not in outcome.err
    assert "\\x1b[31m" in outcome.err


def test_version(cnnsweep):
    import cnnsweep as package

    assert cnnsweep("--version").out == f"cnnsweep {package.__version__}\n"


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["plan"]])
def test_sweep_of_too_many_runs_is_refused_before_torch_is_imported(tmp_path, command):
    numbers = list(range(1, 1001))
    (tmp_path / "huge.yaml").write_text(
        "name: huge\ndataset: shapes\nmodel: lenet\n"
        f"params: {{batch_size: {numbers}, seed: {numbers}, epochs: {numbers}}}\n"
    )
    script = (
        "import sys; from cnnsweep.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script, *command, "huge.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "error: the sweep has 1,000,000,000 combinations, allowed are 10,000" in outcome.stderr
    assert outcome.stdout == "2 False\n"


@pytest.mark.parametrize("arguments", [[], ["runs/a", "--checkpoint", "runs/b"]])
def test_evaluate_takes_one_path_in_one_way(cnnsweep, arguments):
    outcome = cnnsweep("evaluate", *arguments)
    assert (outcome.code, outcome.err) == (
        2,
        "error: evaluate: needs a sweep folder or, with --checkpoint, one checkpoint; not both\n",
    )


def test_watch_shows_a_sweep_that_has_ended_and_refuses_what_is_none(cnnsweep, trained, tmp_path):
    outcome = cnnsweep("watch", trained)
    assert outcome.code == 0
    assert "2 finished" in outcome.out
    assert outcome.err == ""
    assert cnnsweep("watch", tmp_path / "nothing", "--once").code == 4


def test_figures_are_of_the_whole_sweep(cnnsweep, trained, tmp_path):
    pytest.importorskip("matplotlib")
    assert cnnsweep("report", trained, "--figures", tmp_path / "figures", "--run", "x").code == 2
    outcome = cnnsweep("report", trained, "--figures", tmp_path / "figures")
    assert outcome.code == 0
    assert (
        "left out: confusion matrix (cnnsweep evaluate measures it)" in outcome.err
        or (tmp_path / "figures" / "column" / "confusion_matrix.svg").exists()
    )
    assert (tmp_path / "figures" / "column" / "learning_curves.svg").exists()


SMALL_SPACE = """
name: small space
dataset: {name: shapes, size: 12, classes: 2, train: 60, test: 10}
model: {name: cnn, channels: [2], hidden: []}
search: {method: random, runs: 20, seed: 1}
params: {epochs: {integer: [1, 2]}, optimizer: [adam, sgd], batch_size: 100}
"""


def test_dry_run_plan_and_run_foresee_as_many_runs_as_a_small_space_has(cnnsweep, tmp_path):
    (tmp_path / "space.yaml").write_text(SMALL_SPACE)
    note = "the search asks for 20 trials, but there are only 4 trials to try"
    dry = cnnsweep("run", "space.yaml", "--dry-run")
    assert dry.out.splitlines()[:2] == ["small space: 4 runs, 6 epochs", note]
    assert json.loads(cnnsweep("plan", "space.yaml", "--cost", "1", "--json").out)["to_come"] == 0
    plan = cnnsweep("plan", "space.yaml", "--cost", "1").out.splitlines()
    assert plan[0].startswith("small space: 4 runs to train on")
    assert plan[1] == note
    ran = cnnsweep("run", "space.yaml", "--set", "tensorboard=false")
    assert (ran.code, note in ran.err) == (0, True)
    assert "sweep small space: 0 of 4 runs" in ran.err


def test_dry_run_of_a_search_that_excludes_everything_says_so(cnnsweep, tmp_path):
    (tmp_path / "space.yaml").write_text(SMALL_SPACE + "exclude: [{epochs: '> 0'}]\n")
    outcome = cnnsweep("run", "space.yaml", "--dry-run")
    assert (outcome.code, outcome.err) == (2, "error: exclude: its conditions exclude every trial of the search\n")


@pytest.mark.parametrize("dataset", DATASETS.names)
def test_init_begins_with_every_data_set(cnnsweep, tmp_path, dataset):
    outcome = cnnsweep("init", "first.yaml", "--dataset", dataset)
    path_first = "set its path, then: " if dataset == "image_folder" else ""
    assert (outcome.code, outcome.out) == (0, f"wrote first.yaml; next: {path_first}cnnsweep run first.yaml\n")
    assert load_sweep(tmp_path / "first.yaml").dataset_choice.name == dataset


def test_init_for_an_image_folder_runs_once_its_path_is_set(cnnsweep, tmp_path):
    from PIL import Image

    for name in ("cats", "dogs"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (16, 16), number).save(tmp_path / "mine" / name / f"{number}.png")
    cnnsweep("init", "first.yaml", "--dataset", "image_folder")
    (tmp_path / "first.yaml").write_text((tmp_path / "first.yaml").read_text().replace("path: photos", "path: mine"))
    small = ["--set", "params.epochs=1", "--set", "model={name: cnn, channels: [2]}", "--set", "tensorboard=false"]
    assert cnnsweep("run", "first.yaml", "--data-root", ".", *small).code == 0


@pytest.mark.parametrize(
    ("file", "name"),
    [("con.yaml", "sweep"), (".yaml", "yaml"), ("-x.yaml", "x"), ("a:b.yaml", "a_b"), ("007.yaml", "007")],
)
def test_init_makes_a_name_of_any_file(cnnsweep, tmp_path, file, name):
    assert cnnsweep("init", "--", file).code == 0
    assert load_sweep(tmp_path / file).name == name


def test_init_names_the_option_that_is_wrong_and_refuses_folders(cnnsweep, tmp_path):
    wrong = cnnsweep("init", "first.yaml", "--dataset", "imagefolder", "--model", "resnet")
    assert wrong.err.splitlines() == [
        "--dataset: unknown 'imagefolder'; did you mean 'image_folder'?",
        "--model: unknown 'resnet'; did you mean 'resnet18'?",
    ]
    (tmp_path / "sweeps").mkdir()
    assert cnnsweep("init", "sweeps", "--force").err == (
        "error: sweeps: is a folder; name the file, as in sweeps/sweep.yaml\n"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "sweeps"]


@pytest.mark.parametrize(
    "words", [["doctor"], ["doctor", "--repair"], ["clean"], ["run"], ["evaluate", "--refit"]], ids=" ".join
)
def test_a_lock_that_is_a_link_is_refused_by_every_command_and_what_it_points_to_keeps_its_content(
    cnnsweep, trained, small, tmp_path, words
):
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(victim)
    command, *options = words
    target = [small, "--out", folder] if command == "run" else [folder]
    outcome = cnnsweep(command, *target, *options)
    assert "/copy/.lock: is a symbolic link, where a lock belongs" in outcome.out + outcome.err
    assert outcome.code == (0 if command == "evaluate" else 3)
    assert victim.read_text() == "mine"
