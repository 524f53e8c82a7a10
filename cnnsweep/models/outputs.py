"""Notes on model outputs that are not plain logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from cnnsweep.models.build import build_model, gives_logits, memory_order
from cnnsweep.models.logits import find_logits, named_tensors
from cnnsweep.models.memory_format import in_order
from cnnsweep.models.output_kinds import KINDS, LOG, POSITIVE, SOFTMAX, UNIT, is_of_kind
from cnnsweep.seeding import kept_generators
from cnnsweep.types import ModelChoice

_IMAGES = 8
_FEWEST_OUTPUTS, _FEWEST_DRAWS = 24, 3  # number of outputs checked: that many are never all of one sign by chance
_SPREADS = (1.0, 0.3)  # scales of the noise added to the weights; the first makes large logits
_TRAINING, _EVALUATION = "in training", "in evaluation"


def notes_on_outputs(
    choice: ModelChoice, image_shape: tuple[int, int, int], classes: int, *, is_multi_label: bool = False
) -> list[str]:
    """Return notes on a model's outputs, before it trains; none for plain logits.

    Args:
        choice: a model that passed `check_model`.
        image_shape: (C, H, W).
        is_multi_label: the logits go through a sigmoid each.
    """
    if gives_logits(choice, image_shape, classes):
        return []
    with kept_generators():
        order = memory_order(choice, image_shape, classes, torch.device("cpu"))
        model = in_order(build_model(choice, image_shape, classes, seed=0), order, torch.device("cpu"))
        outputs = {mode: _outputs(model, image_shape, training=mode == _TRAINING) for mode in (_TRAINING, _EVALUATION)}
        notes = [*_left_out(outputs, classes), *_kinds(model, image_shape, classes, is_multi_label=is_multi_label)]
    return [f"model {choice.name}: {note}" for note in notes]


def _outputs(model: nn.Module, image_shape: tuple[int, int, int], *, training: bool) -> object:
    random = torch.Generator().manual_seed(0)
    like = next(model.parameters(), torch.zeros(()))
    images = torch.randn(_IMAGES, *image_shape, generator=random).to(like.dtype)
    with torch.no_grad():
        return model.train(training)(images)


def _left_out(outputs: dict[str, object], classes: int) -> Iterator[str]:
    """Yield a note on the output that is used if there are several."""
    several = {mode: output for mode, output in outputs.items() if not isinstance(output, Tensor)}
    if not several:
        return
    mode = _TRAINING if _TRAINING in several else _EVALUATION
    output = several[mode]
    name, _ = find_logits(output, classes)
    others = [other for other, _ in named_tensors(output) if other != name]
    where = "" if len(several) == len(outputs) else f" {mode}"
    ignored = f"; {', '.join(others)} {'is' if len(others) == 1 else 'are'} left out of the loss" if others else ""
    yield f"forward returns a {type(output).__name__}{where}, of which {name} counts as the logits{ignored}"


def _kinds(model: nn.Module, image_shape: tuple[int, int, int], classes: int, *, is_multi_label: bool) -> Iterator[str]:
    """Yield a note on outputs that are not logits, in training or else in evaluation."""
    if classes < 2:
        return
    found = {}
    for mode in (_TRAINING, _EVALUATION):
        found[mode] = _kind(model, image_shape, classes, training=mode == _TRAINING)
    if (kind := found[_TRAINING]) is not None:
        yield _OF_SEVERAL_LABELS[kind] if is_multi_label else _IN_TRAINING[kind](classes)
    elif (kind := found[_EVALUATION]) is not None and kind != LOG:
        yield (
            f"its outputs in evaluation are not logits as in training ({_WORDS[kind]}), so that val_loss and the "
            "probabilities of predict are wrong; return the logits there too"
        )


def _kind(model: nn.Module, image_shape: tuple[int, int, int], classes: int, *, training: bool) -> str | None:
    """Return the kind of the outputs, if it is the same for random weights; None for logits."""
    kinds = list(KINDS)
    looked_at = 0
    for output in _drawn_outputs(model, image_shape, classes, training=training):
        if not bool(torch.isfinite(output).all()):
            continue
        looked_at += 1
        kinds = [kind for kind in kinds if is_of_kind(kind, output)]
        if not kinds:
            return None
    return kinds[0] if looked_at > _FEWEST_DRAWS else None


def _drawn_outputs(
    model: nn.Module, image_shape: tuple[int, int, int], classes: int, *, training: bool
) -> Iterator[Tensor]:
    """Yield outputs (N, classes) for the present weights and for random weights, then restore the weights."""
    random = torch.Generator().manual_seed(1)
    draws = 2 * max(_FEWEST_DRAWS, math.ceil(_FEWEST_OUTPUTS / classes))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    try:
        for draw in range(draws + 1):
            if draw:
                with torch.no_grad():
                    for p in model.parameters():
                        noise = torch.randn(p.shape, generator=random) * _SPREADS[draw % len(_SPREADS)]
                        p.add_(noise.to(p.dtype))
            output = _outputs(model, image_shape, training=training)
            yield (output if isinstance(output, Tensor) else find_logits(output, classes)[1]).double()
            model.load_state_dict(before, strict=False)
    finally:
        model.load_state_dict(before, strict=False)


_WORDS = {
    SOFTMAX: "probabilities that sum to 1",
    UNIT: "numbers from 0 to 1",
    POSITIVE: "never negative",
}


def _least_loss(classes: int) -> float:
    """Return the cross-entropy of logits that are 1 for the right class and 0 for all others."""
    return math.log(1 + (classes - 1) / math.e)


_IN_TRAINING: dict[str, Callable[[int], str]] = {
    SOFTMAX: lambda classes: (
        "its outputs are probabilities already, as after a softmax; the loss applies softmax once more, so that it "
        f"cannot fall below {_least_loss(classes):.2f} and training is slow; return the logits, without softmax"
    ),
    LOG: lambda _: (
        "its outputs are logarithms of probabilities, as after log_softmax; the loss applies log_softmax again, "
        "which changes nothing: it trains as with logits"
    ),
    UNIT: lambda classes: (
        "every output is from 0 to 1, as after a sigmoid; the loss applies softmax, so that it cannot fall below "
        f"{_least_loss(classes):.2f} and training is slow; return the logits, without the sigmoid"
    ),
    POSITIVE: lambda _: (
        "no output is ever negative, as after a ReLU, so that a class whose logit is 0 may learn nothing more; leave "
        "the last activation out"
    ),
}
_AGAIN = "; the loss applies a sigmoid to each, so that training is slow; return the logits"
_OF_SEVERAL_LABELS = {
    SOFTMAX: f"its outputs sum to 1, as after a softmax, though an image may have several labels or none{_AGAIN}",
    LOG: f"its outputs are those of a log_softmax, though an image may have several labels or none{_AGAIN}",
    UNIT: f"every output is from 0 to 1, as after a sigmoid, so that no probability is below 0.5{_AGAIN}",
    POSITIVE: (
        "no output is ever negative, as after a ReLU, so that no probability is below 0.5; leave the last activation "
        "out"
    ),
}
