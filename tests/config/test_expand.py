import dataclasses
import re
from pathlib import Path

import pytest

from cnnsweep.config.grid import count_runs
from cnnsweep.config.identity import FIRST_FIELDS, Identities, augment_identity, choice_identity, json_text
from cnnsweep.config.load import load_sweep, parse_sweep
from cnnsweep.config.run_names import short_ids
from cnnsweep.config.trials import Expansion, expand_runs
from cnnsweep.errors import UsageError
from cnnsweep.optimizers.base import OPTIMIZERS
from cnnsweep.types import CONSTANT, Choice, Hyperparameters, ModelChoice, Normalization, Run

FASHION = """\
name: fashion
dataset: fashion_mnist
model: lenet
params:
  lr: [0.01, 0.001]
  batch_size: [100, 1000]
  shuffle: [true, false]
  epochs: 3
"""


def expand_text(text: str) -> Expansion:
    return expand_runs(parse_sweep(text, "f"))


def runs_of(params: str, top: str = "model: lenet") -> tuple[Run, ...]:
    return expand_text(f"name: s\ndataset: shapes\n{top}\nparams: {{{params}}}\n").runs


def id_of(params: str = "lr: 0.1", top: str = "model: lenet") -> str:
    (run,) = runs_of(params, top)
    return run.id


def test_axes_expand_in_the_files_order_the_last_fastest() -> None:
    settings = [tuple(run.params.values()) for run in expand_text(FASHION).runs]
    assert settings == [
        (0.01, 100, True, 3),
        (0.01, 100, False, 3),
        (0.01, 1000, True, 3),
        (0.01, 1000, False, 3),
        (0.001, 100, True, 3),
        (0.001, 100, False, 3),
        (0.001, 1000, True, 3),
        (0.001, 1000, False, 3),
    ]
    assert list(expand_text(FASHION).runs[0].params) == ["lr", "batch_size", "shuffle", "epochs"]


def test_name_shows_the_axes_and_the_first_digits_of_the_id() -> None:
    run = expand_text(FASHION).runs[3]
    assert run.name == f"lr=0.01,batch_size=1000,shuffle=false-{run.id[:6]}"


def test_ids_stay_the_same_from_version_to_version() -> None:
    # Whoever changes these makes every finished run of every user count as new. Say so in the changelog.
    assert [run.id for run in expand_text(FASHION).runs][:2] == ["78ca6a099280027f", "c2774214db8cf44b"]


def test_sweep_without_axes_is_one_run() -> None:
    (run,) = runs_of("lr: 0.1")
    assert run.name == f"run-{run.id[:6]}"
    assert re.fullmatch("[0-9a-f]{16}", run.id)
    assert expand_text("name: s\ndataset: shapes\nmodel: lenet\n").runs[0].params == {}


def test_default_hyperparameters_are_those_of_the_guide() -> None:
    (run,) = expand_text("name: s\ndataset: shapes\nmodel: lenet\nseed: 5\n").runs
    assert run.hyperparameters == Hyperparameters(
        lr=0.001,
        batch_size=128,
        shuffle=True,
        epochs=10,
        optimizer="adam",
        momentum=None,
        nesterov=None,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.0,
        schedule=CONSTANT,
        label_smoothing=0.0,
        grad_clip=None,
        augment=(),
        seed=5,
    )


@pytest.mark.parametrize(
    ("optimizer", "momentum", "nesterov", "beta1", "eps", "weight_decay"),
    [
        ("adam", None, None, 0.9, 1e-8, 0.0),
        ("sgd", 0.0, False, None, None, 0.0),
        ("adamw", None, None, 0.9, 1e-8, 0.01),
        ("rmsprop", 0.0, None, None, 1e-8, 0.0),
        ("nadam", None, None, 0.9, 1e-8, 0.0),
        ("radam", None, None, 0.9, 1e-8, 0.0),
        ("adamax", None, None, 0.9, 1e-8, 0.0),
        ("adagrad", None, None, None, 1e-10, 0.0),
        ("adadelta", None, None, None, 1e-6, 0.0),
        ("adafactor", None, None, None, None, 0.0),
        ("asgd", None, None, None, None, 0.0),
        ("rprop", None, None, None, None, None),
        ("muon", 0.95, True, 0.9, 1e-7, 0.1),
    ],
)
def test_each_optimizer_has_its_own_hyperparameters(
    optimizer: str, momentum: object, nesterov: object, beta1: object, eps: object, weight_decay: object
) -> None:
    (run,) = runs_of(f"optimizer: {optimizer}")
    found = run.hyperparameters
    assert (found.momentum, found.nesterov, found.beta1, found.eps) == (momentum, nesterov, beta1, eps)
    assert found.weight_decay == weight_decay
    assert (found.beta2 is None) == (beta1 is None)


def test_every_optimizer_is_covered_above() -> None:
    assert set(OPTIMIZERS.names) == {
        *("adam", "sgd", "adamw", "rmsprop", "nadam", "radam", "adamax", "adagrad", "adadelta", "adafactor"),
        *("asgd", "rprop", "muon"),
    }


def test_what_an_optimizer_does_not_use_makes_no_new_run() -> None:
    expansion = expand_text(
        "name: s\ndataset: shapes\nmodel: lenet\nparams: {optimizer: [adam, sgd], momentum: [0, 0.9]}"
    )
    assert expansion.duplicates == 1
    assert [run.params for run in expansion.runs] == [
        {"optimizer": "adam", "momentum": None},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.9},
    ]
    assert [run.name.rpartition("-")[0] for run in expansion.runs] == [
        "optimizer=adam",
        "optimizer=sgd,momentum=0.0",
        "optimizer=sgd,momentum=0.9",
    ]


def test_nesterov_without_momentum_is_plain_sgd() -> None:
    runs = runs_of("optimizer: sgd, momentum: [0, 0.9], nesterov: [true, false]")
    assert [(run.hyperparameters.momentum, run.hyperparameters.nesterov) for run in runs] == [
        (0.0, False),
        (0.9, True),
        (0.9, False),
    ]


def test_equal_values_in_an_axis_are_one_run() -> None:
    expansion = expand_text("name: s\ndataset: shapes\nmodel: lenet\nparams: {lr: [1, 1.0, 1e0], epochs: [1, 2]}")
    assert (len(expansion.runs), expansion.duplicates) == (2, 4)
    assert [run.name.rpartition("-")[0] for run in expansion.runs] == ["epochs=1", "epochs=2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lr: 1", "lr: 1.0"),
        ("lr: 0.1", "lr: 0.10"),
        ("lr: 1e-3", "lr: 0.001"),
        ("lr: 0.1, epochs: 2", "epochs: 2.0, lr: 0.1"),
        ("lr: 0.001", ""),
        ("schedule: cosine", "schedule: {name: cosine}"),
        ("augment: flip+crop", "augment: {crop: 4, flip: true}"),
        ("seed: 0", ""),
        ("model: lenet", ""),
        ("dropout: 0", "model.dropout: 0.0"),
    ],
)
def test_what_means_the_same_has_the_same_id(one: str, other: str) -> None:
    assert id_of(one) == id_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("model: lenet\ndataset: shapes", "model: lenet\ndataset: {name: shapes, size: 28, normalize: standard}"),
        ("model: {name: cnn, channels: [6, 12]}", "model: {channels: [6.0, 12], name: cnn}"),
        ("model: {name: resnet18, groups: 1}", "model: {name: resnet18, groups: 1.0}"),
        ("model: lenet", "model: lenet\nmetric: val_accuracy\nmode: max\nvalidation: 0.1\nseed: 0"),
        ("model: lenet", "model: lenet\ndevice: cpu\ndescription: other\ntensorboard: false"),
    ],
)
def test_what_does_not_change_the_result_does_not_change_the_id(one: str, other: str) -> None:
    def run_id(top: str) -> str:
        dataset = "" if "dataset" in top else "dataset: shapes\n"
        return expand_text(f"name: s\n{dataset}{top}\n").runs[0].id

    assert run_id(one) == run_id(other)


@pytest.mark.parametrize(
    "change",
    ["seed: 1", "validation: 0.2", "validation: 1", "metric: loss", "mode: min", "precision: bf16"],
)
def test_what_changes_the_result_changes_the_id(change: str) -> None:
    assert id_of(top=f"model: lenet\n{change}") != id_of()


def test_every_hyperparameter_changes_the_id() -> None:
    ids = [id_of(), id_of("lr: 0.2"), id_of("lr: 0.1, batch_size: 64"), id_of("lr: 0.1, shuffle: false")]
    ids += [
        id_of(f"lr: 0.1, {key}") for key in ("epochs: 1", "optimizer: sgd", "beta1: 0.8", "beta2: 0.9", "eps: 1e-7")
    ]
    ids += [
        id_of(f"lr: 0.1, {key}") for key in ("weight_decay: 0.1", "schedule: step", "label_smoothing: 0.1", "seed: 1")
    ]
    ids += [id_of(f"lr: 0.1, {key}") for key in ("grad_clip: 1", "augment: flip", "dropout: 0.1", "model: cnn")]
    ids += [id_of(f"lr: 0.1, {key}") for key in ("optimizer: sgd, momentum: 0.5", "model.pool: 3")]
    ids += [id_of("lr: 0.1, optimizer: sgd, momentum: 0.5, nesterov: true")]
    assert len(set(ids)) == len(ids)


@dataclasses.dataclass(frozen=True, slots=True)
class LaterNormalization(Normalization):
    scale: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class LaterHyperparameters(Hyperparameters):
    moving: float | None = None
    other: Choice = CONSTANT


@dataclasses.dataclass(frozen=True, slots=True)
class LaterModel(ModelChoice):
    weights: str | None = None


LATER = [
    (LaterNormalization("none"), {"scale": [1.0]}),
    (LaterModel("lenet", {"kernel_size": 3}), {"weights": "imagenet"}),
]


@pytest.mark.parametrize(("record", "changes"), LATER)
def test_a_field_added_later_enters_an_id_only_where_it_differs_from_its_default(record, changes) -> None:
    (base,) = type(record).__bases__
    of_today = base(**{field.name: getattr(record, field.name) for field in dataclasses.fields(base)})
    assert json_text(record) == json_text(of_today)
    for name, value in changes.items():
        changed = json_text(dataclasses.replace(record, **{name: value}))
        assert changed != json_text(of_today)
        assert f'"{name}"' in changed


def test_a_field_that_a_schedule_gets_later_enters_an_id_only_where_it_differs_from_its_default() -> None:
    first = {"warmup": 0, "every": 1, "factor": 0.1, "final": 0, "peak": 0.3}
    assert choice_identity(Choice("step", {"every": 2})) == {"name": "step", **first, "every": 2}
    assert choice_identity(Choice("step", {"power": 2.0})) == {"name": "step", **first, "power": 2.0}
    # One that came later has no fields of others.
    assert choice_identity(Choice("linear", {"end": 0.1})) == {"name": "linear", "arguments": {"end": 0.1}}


def test_augmentations_that_came_later_and_later_fields_enter_an_id_only_where_they_are_used() -> None:
    flip, crop = Choice("flip"), Choice("crop", {"padding": 2})
    assert augment_identity(()) == {"flip": False, "crop": 0, "cutout": 0}
    assert augment_identity((flip, crop)) == {"flip": True, "crop": 2, "cutout": 0}
    assert augment_identity((Choice("crop", {"fill": 7}),)) == {
        "flip": False, "crop": {"padding": 4, "fill": 7}, "cutout": 0,
    }  # fmt: skip
    assert augment_identity((flip, Choice("noise", {"size": 3})))["noise"] == {"size": 3}


def test_a_hyperparameter_added_later_enters_an_id_only_where_it_differs_from_its_default() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nmodel: lenet\n", "f")
    (run,) = expand_runs(spec).runs
    values = {field.name: getattr(run.hyperparameters, field.name) for field in dataclasses.fields(Hyperparameters)}
    identities = Identities(spec)

    def id_with(**later: object) -> str:
        return identities.id_of(run.model, identities.texts(LaterHyperparameters(**values, **later)))

    assert id_with() == run.id
    assert len({id_with(), id_with(moving=0.99), id_with(other=Choice("cosine")), id_with(moving=0.9)}) == 4


def test_what_has_no_default_always_enters_an_id_and_the_list_of_such_fields_is_closed() -> None:
    for kind, first in FIRST_FIELDS.items():
        own = dataclasses.fields(kind)
        assert first <= {field.name for field in own}, kind
        later = [field for field in own if field.name not in first]
        missing = dataclasses.MISSING
        assert all(field.default is not missing or field.default_factory is not missing for field in later), (
            f"{kind.__name__}: a field without a default would change the id of every finished run"
        )
    # What was in every id when ids were first made. A field that is new does not belong here, but needs a default.
    assert {kind.__name__: len(first) for kind, first in FIRST_FIELDS.items()} == {
        **{"Hyperparameters": 16, "Normalization": 3, "ModelChoice": 3},
    }


def test_id_of_own_code_depends_on_its_content_and_not_on_its_folder(tmp_path: Path) -> None:
    def run_of(folder: str, code: str) -> Run:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "nets.py").write_text(code)
        file = tmp_path / folder / "sweep.yaml"
        file.write_text("name: s\ndataset: nets.py:load\nparams: {model: [nets.py:Net]}\n")
        return expand_runs(load_sweep(file)).runs[0]

    one = run_of("a", "class Net: ...")
    assert one.id == run_of("b", "class Net: ...").id
    assert one.id != run_of("c", "class Net: pass").id
    assert one.params == {"model": "nets.py:Net"}
    assert one.model.name == f"{tmp_path}/a/nets.py:Net"


def test_model_arguments_and_dropout_are_merged_into_the_model() -> None:
    (run,) = runs_of("model.channels: [[4]], dropout: 0.5", "model: {name: cnn, channels: [8], dropout: 0.1, pool: 1}")
    assert run.model == ModelChoice("cnn", {"channels": [4], "dropout": 0.5, "pool": 1})
    assert run.params == {"model.channels": [4], "dropout": 0.5}


def test_settings_are_plain_values() -> None:
    (run,) = runs_of(
        "schedule: [{name: step, every: 2}], augment: [{crop: 2}], model: [{name: cnn, pool: 1}], grad_clip: none"
    )
    assert run.params == {
        "schedule": {"name": "step", "every": 2},
        "augment": {"crop": 2},
        "model": {"name": "cnn", "pool": 1},
        "grad_clip": None,
    }


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ("lr: [1e-5, 0.10]", ["lr=1e-05", "lr=0.1"]),
        ("grad_clip: [none, 1]", ["grad_clip=none", "grad_clip=1.0"]),
        ("model.channels: [[6, 12], [8]]", ["model.channels=6+12", "model.channels=8"]),
        ("augment: [none, flip+crop, {crop: 2}]", ["augment=none", "augment=flip+crop", "augment=crop=2"]),
        ("schedule: [step, {name: step, every: 2}]", ["schedule=step", "schedule=step+every=2"]),
        ("model: ['a.b:C', lenet]", ["model=a.b_C", "model=lenet"]),
    ],
)
def test_names_are_short_and_safe(params: str, names: list[str]) -> None:
    assert [run.name.rpartition("-")[0] for run in runs_of(params)] == names


def test_long_names_are_cut() -> None:
    long = "model.channels: [[" + ", ".join(["128"] * 90) + "], [1]]"
    first = runs_of(long)[0]
    assert len(first.name) == 120
    assert first.name.endswith(f"-{first.id[:6]}")


def test_ids_that_begin_alike_get_more_digits() -> None:
    ids = ["abcdef00" + "0" * 8, "abcdef01" + "0" * 8, "123456" + "0" * 10]
    assert short_ids(ids) == {ids[0]: "abcdef00", ids[1]: "abcdef01", ids[2]: "123456"}


def test_names_are_unique() -> None:
    runs = runs_of(f"seed: [{', '.join(map(str, range(2000)))}]")
    assert len({run.name for run in runs}) == 2000


def test_limit_can_be_raised() -> None:
    spec = parse_sweep(FASHION, "f")
    assert count_runs(spec).runs == 8
    with pytest.raises(UsageError, match=r"the sweep has 8 combinations, allowed are 7; .* --max-runs 8"):
        expand_runs(spec, limit=7)
    assert len(expand_runs(spec, limit=8).runs) == 8


def test_runs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        expand_text(FASHION).runs[0].id = "x"  # type: ignore[misc]
