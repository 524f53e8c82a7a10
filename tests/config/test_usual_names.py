"""Keys and values under the names of other tools: the error says what they are called here."""

import pytest

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import SpecError

HEAD = "name: s\ndataset: shapes\nmodel: lenet\n"


def errors(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        parse_sweep(text, "s.yaml", overrides)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *dict.fromkeys(["learning_rate", "learning-rate", "LearningRate", "lrs", "base_lr"], "lr").items(),
        *dict.fromkeys(["bs", "batchsize", "batch", "mini_batch_size"], "batch_size").items(),
        *dict.fromkeys(["num_epochs", "n_epochs", "max_epochs", "epoch"], "epochs").items(),
        *dict.fromkeys(["optim", "opt", "optimiser", "solver"], "optimizer").items(),
        *dict.fromkeys(["wd", "weightdecay", "l2"], "weight_decay").items(),
        *dict.fromkeys(["scheduler", "lr_scheduler", "lr-schedule"], "schedule").items(),
        *dict.fromkeys(["arch", "network", "net", "architecture"], "model").items(),
        *dict.fromkeys(["transforms", "augmentation", "augmentations", "data_augmentation"], "augment").items(),
        *dict.fromkeys(["random_seed", "random_state"], "seed").items(),
        *dict.fromkeys(["clip", "max_grad_norm", "gradient_clipping"], "grad_clip").items(),
        *dict.fromkeys(["drop_rate", "dropout_rate"], "dropout").items(),
        ("epsilon", "eps"),
        ("labelsmoothing", "label_smoothing"),
    ],
)
def test_usual_name_under_params_is_told_apart_in_the_file_and_by_set(written: str, meant: str) -> None:
    expected = f"params.{written}: unknown key; did you mean '{meant}'?"
    assert errors(f"{HEAD}params:\n  {written}: 1\n") == [f"s.yaml:5:3  {expected}"]
    assert errors(HEAD, f"params.{written}=1") == [f"--set params.{written}=1  {expected}"]


def test_usual_name_in_the_wrong_section_says_which_section_is_right() -> None:
    assert errors(f"{HEAD}learning_rate: 1\nparams:\n  val_split: 0.2\n") == [
        "s.yaml:4:1  learning_rate: unknown key; did you mean 'lr', under params?",
        "s.yaml:6:3  params.val_split: unknown key; did you mean 'validation', at the top of the file?",
    ]


def test_required_key_under_another_name_is_one_mistake_and_not_two() -> None:
    assert errors("name: s\ndata: shapes\narch: lenet\n") == [
        "s.yaml:2:1  data: unknown key; did you mean 'dataset'?",
        "s.yaml:3:1  arch: unknown key; did you mean 'model'?",
    ]


def test_what_is_said_otherwise_here_is_explained() -> None:
    found = errors(f"{HEAD}criterion: ce\nkfold: 5\nn_trials: 9\nparams:\n  betas: [0.9, 0.99]\n  gamma: 0.1\n")
    assert [line.split("unknown key; ")[1].split(",")[0] for line in found] == [
        "did you mean 'loss'",
        "folds are a kind of validation",
        "how many trials are tried is said with the search",
        "its two numbers are the keys beta1 and beta2",
        "it is part of the schedule",
    ]


def test_keys_of_every_mapping_are_known_under_usual_names() -> None:
    text = """name: s
dataset: {name: image_folder, root: photos, img_size: 3}
model: {name: cnn, filters: [3], bn: true}
search: {type: random, n_trials: 3}
early_stop: {method: halving, eta: 3}
params:
  schedule: {name: step, gamma: 0.1, step_size: 3}
"""
    assert [line.split("  ", 1)[1] for line in errors(text)] == [
        "dataset.root: unknown key; did you mean 'path'?",
        "dataset.img_size: unknown key; did you mean 'size'?",
        "model.filters: unknown key; did you mean 'channels'?",
        "model.bn: unknown key; did you mean 'batch_norm'?",
        "search.method: missing; did you mean 'method' by 'type'?",
        "early_stop.eta: unknown key; did you mean 'factor'?",
        "params.schedule.gamma: unknown key; did you mean 'factor'?",
        "params.schedule.step_size: unknown key; did you mean 'every'?",
    ]


def test_conditions_and_settings_of_include_know_usual_names_too() -> None:
    text = (
        f"{HEAD}params: {{lr: [0.1, 0.2], batch_size: [3, 4]}}\nzip: [learning_rate, bs]\n"
        "exclude: [{learning-rate: 0.1}]\ninclude: [{lrate: 0.1, wd: 3}]\n"
    )
    assert [line.split("  ", 1)[1] for line in errors(text)] == [
        "zip: 'learning_rate' is no key of params here; did you mean 'lr'?",
        "exclude.learning-rate: 'learning-rate' is no key of params here; did you mean 'lr'?",
        "include.lrate: unknown key; did you mean 'lr'?",
        "include.wd: unknown key; did you mean 'weight_decay'?",
    ]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("metric: val_acc", "val_accuracy"),
        ("mode: minimize", "min"),
        ("search: bayesian", "tpe"),
        ("early_stop: asha", "halving"),
        ("precision: float32", "fp32"),
        ("params: {schedule: CosineAnnealingLR}", "cosine"),
        ("params: {optimizer: AdamW_}", "adamw"),
        ("params: {schedule: ReduceLROnPlateau}", "plateau"),
        ("params: {augment: hflip}", "flip"),
        ("params: {model: ResNet-18}", "resnet18"),
    ],
)
def test_usual_values_are_known(line: str, meant: str) -> None:
    (found,) = errors(HEAD + line + "\n")
    assert found.endswith(f"did you mean '{meant}'?")
