"""What a correct sweep file means."""

import hashlib
import re
from pathlib import Path

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.schema import SweepSpec, TensorBoard
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import Choice, DatasetChoice, ModelChoice, Normalization

SHAPES = {"size": 28, "channels": 1, "classes": 10, "train": 10000, "test": 2000, "seed": 0}


def parse(text: str, folder: Path | None = None) -> SweepSpec:
    """Parse a sweep; name, data set and model are added where the text has none."""
    lines = ("name: s", "dataset: shapes", "model: lenet")
    head = "".join(f"{line}\n" for line in lines if not re.search(f"^{line.partition(' ')[0]}", text, re.MULTILINE))
    return parse_sweep(head + text, "sweep.yaml", folder=folder)


def test_smallest_file_has_every_default() -> None:
    assert parse("") == SweepSpec(
        name="s",
        description="",
        dataset_choice=DatasetChoice("shapes", SHAPES),
        model=ModelChoice("lenet"),
        axes={},
        zips=(),
        when={},
        exclude=(),
        include=(),
        search=None,
        seed=0,
        seeds=(),
        validation=0.1,
        folds=None,
        metric="val_accuracy",
        mode="max",
        scope="best",
        early_stop=None,
        device="auto",
        precision="fp32",
        tensorboard=TensorBoard(batch_loss=True, images=True, graph=True, histograms=True, hparams=True),
    )


def test_keys_at_the_top_are_kept() -> None:
    spec = parse(
        "description: |\n  two\n  lines\nseed: 3\nvalidation: 5000\nmetric: val_loss\ndevice: cuda:1\nprecision: bf16\n"
    )
    assert (spec.description, spec.seed, spec.validation) == ("two\nlines\n", 3, 5000)
    assert (spec.device, spec.precision) == ("cuda:1", "bf16")
    assert spec.objective == Objective("val_loss", "min")


def test_devices_may_be_a_list_or_a_text_with_commas() -> None:
    assert parse('device: [cpu, "cuda:1"]\n').device == "cpu,cuda:1"
    assert parse("device: cpu, cuda:1\n").device == "cpu,cuda:1"


def test_without_validation_the_training_accuracy_decides() -> None:
    assert parse("validation: 0").objective == Objective("accuracy", "max")
    assert parse("validation: 0.0").validation == 0


def test_mode_can_be_turned_round() -> None:
    assert parse("metric: loss\nmode: max").objective == Objective("loss", "max")


@pytest.mark.parametrize("written", ["007", "1e3", "true", "2024-11-05", "Ünï c.o-de_1"])
def test_name_is_what_is_written(written: str) -> None:
    assert parse(f"name: {written}").name == written


def test_list_is_an_axis_and_single_value_is_fixed() -> None:
    axes = parse("params:\n  epochs: 3\n  lr: [1e-2, 1]\n  batch_size: 1e2\n  shuffle: [yes, off]\n").axes
    assert list(axes.items()) == [
        ("epochs", (3,)),
        ("lr", (0.01, 1.0)),
        ("batch_size", (100,)),
        ("shuffle", (True, False)),
    ]
    assert repr((axes["batch_size"], axes["lr"])) == "((100,), (0.01, 1.0))"


def test_empty_params_are_a_sweep_of_one_run() -> None:
    assert parse("params:\n").axes == parse("params: {}\n").axes == {}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("constant", Choice("constant")),
        ("one_cycle", Choice("one_cycle")),
        ("{name: cosine, warmup: 1, final: 0.01}", Choice("cosine", {"warmup": 1.0, "final": 0.01})),
        ("{name: one_cycle, peak: 0.5}", Choice("one_cycle", {"peak": 0.5})),
        (
            "{name: step, every: 2, factor: 0.5, warmup: 0.5}",
            Choice("step", {"warmup": 0.5, "every": 2, "factor": 0.5}),
        ),
    ],
)
def test_schedule_is_a_name_or_a_mapping(written: str, meant: Choice) -> None:
    assert parse(f"params: {{schedule: {written}}}").axes["schedule"] == (meant,)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("none", ()),
        ("flip", (Choice("flip"),)),
        ("flip+crop", (Choice("flip"), Choice("crop"))),
        ("crop + cutout", (Choice("crop"), Choice("cutout"))),
        ("{flip: yes, crop: 2}", (Choice("flip"), Choice("crop", {"padding": 2}))),
        ("{}", ()),
    ],
)
def test_augmentation_is_names_or_a_mapping(written: str, meant: tuple[Choice, ...]) -> None:
    assert parse(f"params: {{augment: {written}}}").axes["augment"] == (meant,)


@pytest.mark.parametrize("written", ["none", "null", "~"])
def test_gradient_clipping_can_be_off(written: str) -> None:
    assert parse(f"params: {{grad_clip: [{written}, 1]}}").axes["grad_clip"] == (None, 1.0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("standard", Normalization()),
        ("none", Normalization("none")),
        ("{mean: 0.5, std: 1}", Normalization("given", (0.5,), (1.0,))),
        ("{mean: [0.1, 0.2, 0.3], std: 0.5}", Normalization("given", (0.1, 0.2, 0.3), (0.5,))),
    ],
)
def test_normalization_is_a_name_or_numbers(written: str, meant: Normalization) -> None:
    assert parse(f"dataset: {{name: cifar10, normalize: {written}}}").dataset_choice == DatasetChoice(
        "cifar10", {}, meant
    )


def test_dataset_arguments_are_complete() -> None:
    assert parse("dataset: emnist").dataset_choice.arguments == {"split": "balanced"}
    assert parse("dataset: {name: shapes, train: 1e3}").dataset_choice.arguments == {**SHAPES, "train": 1000}
    folder = parse("dataset: {name: image_folder, path: photos, size: [32, 48]}").dataset_choice
    assert folder.arguments == {"path": "photos", "size": [32, 48], "test": 0.2, "broken": "stop"}


def test_model_arguments_are_those_given() -> None:
    spec = parse("model: {name: cifar_cnn, channels: [8.0, 16], batch_norm: on}")
    assert spec.model == ModelChoice("cifar_cnn", {"channels": [8, 16], "batch_norm": True})
    assert parse("model: {name: densenet121, drop_rate: 0.1}").model == ModelChoice("densenet121", {"drop_rate": 0.1})


def test_models_can_be_an_axis_and_the_top_level_model_left_out() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nparams: {model: [lenet, {name: cnn, pool: 1}]}", "f")
    assert spec.model is None
    assert spec.axes["model"] == (ModelChoice("lenet"), ModelChoice("cnn", {"pool": 1}))


def test_model_arguments_can_be_axes() -> None:
    axes = parse("model: cnn\nparams: {model.channels: [[6, 12.0], [8]], model.kernel_size: [3, [3, 5]]}").axes
    assert axes == {"model.channels": ([6, 12], [8]), "model.kernel_size": (3, [3, 5])}


def test_own_code_is_found_beside_the_sweep_file(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "nets.py").write_text("class Net: ...\n")
    spec = parse("model: {name: code/nets.py:Net, width: 3, deep: [1, {a: null}]}", tmp_path)
    assert spec.model == ModelChoice(
        f"{tmp_path}/code/nets.py:Net",
        {"width": 3, "deep": [1, {"a": None}]},
        hashlib.sha256(b"class Net: ...\n").hexdigest(),
    )
    module = parse("dataset: {name: package.data:load, fold: 1}")
    assert module.dataset_choice == DatasetChoice("package.data:load", {"fold": 1})


def test_tensorboard_is_switched_as_a_whole_or_one_by_one() -> None:
    everything = dict.fromkeys(("batch_loss", "images", "graph", "histograms", "hparams"), True)
    assert parse("tensorboard: off").tensorboard == TensorBoard(**dict.fromkeys(everything, False))
    assert parse("tensorboard: {images: no}").tensorboard == TensorBoard(**{**everything, "images": False})
