"""Building of models by name, with random weights, and checks on them."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cnnsweep.errors import CnnSweepError, ModelError
from cnnsweep.models.base import MODELS
from cnnsweep.models.lazy_modules import give_shapes
from cnnsweep.models.logits import logits_of
from cnnsweep.models.memory_format import FAST, Found, try_orders
from cnnsweep.models.output_kinds import is_of_no_kind
from cnnsweep.plugins import is_reference, load_object
from cnnsweep.registry import argument_mistake
from cnnsweep.seeding import derive_seed, kept_generators, seed_python
from cnnsweep.types import ModelChoice

_CPU = torch.device("cpu")


def build_model(
    choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int, seed: int | None = None
) -> nn.Module:
    """Return a fresh module on the CPU, in training mode.

    Args:
        image_shape: (C, H, W) of the images.
        seed: of the run; equal seeds give equal weights. None leaves the caller's generator alone.

    Raises:
        ModelError: the name is unknown, an argument is wrong, images are too small, or user code raises.
    """
    channels, height, width = image_shape
    with contextlib.nullcontext() if seed is None else kept_generators():
        if seed is not None:
            if not MODELS.is_built_in(choice.name):  # draws during the import must not change the models' draws
                _seed(derive_seed(0, "weights"))
                _import(choice.name)
            _seed(derive_seed(seed, "weights"))
        try:
            model = _construct(choice, channels, num_classes, (height, width))
        except CnnSweepError:
            raise
        except Exception as error:
            raise ModelError(f"model {choice.name}: {_one_line(error)}") from error
        try:
            give_shapes(model, choice.name, image_shape)
        except CnnSweepError:
            raise
        except Exception as error:
            raise _refused(choice, image_shape, error) from error
        return model


def _import(name: str) -> None:
    if is_reference(name):
        load_object(name)
    else:
        with contextlib.suppress(KeyError):  # an unknown name is reported when it is built
            MODELS.get(name)


def _seed(seed: int) -> None:
    # Only the CPU's generator: torch.manual_seed searches for other devices, which takes longer than building a model.
    torch.default_generator.manual_seed(seed)
    seed_python(seed)


def memory_order(
    choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int, device: torch.device
) -> torch.memory_format:
    """Return the memory format of a model and its images on a device.

    Raises:
        ModelError: the model cannot be built.
    """
    return _found_of(choice, image_shape, num_classes, device).order


def is_repeatable(choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int) -> bool:
    """True if equal seeds give equal numbers; False for a model with random numbers that no seed controls.

    Raises:
        ModelError: the model cannot be built.
    """
    return _found_of(choice, image_shape, num_classes, _CPU).is_repeatable


def gives_logits(choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int) -> bool:
    """True if a model's outputs are a single tensor of plain logits; False if uncertain.

    Raises:
        ModelError: the model cannot be built.
    """
    return _found_of(choice, image_shape, num_classes, _CPU).gives_logits


_found: dict[tuple[str, tuple[int, int, int], int, str], Found] = {}  # the check takes a moment: once per process


def _found_of(choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int, device: torch.device) -> Found:
    if MODELS.is_built_in(choice.name):
        return Found(FAST, gives_logits=True)  # cnnsweep's and torchvision's models
    key = repr(choice), image_shape, num_classes, str(device)
    if key not in _found:
        _found[key] = try_orders(
            lambda: build_model(choice, image_shape, num_classes, seed=0),
            image_shape,
            device,
            lambda output: _is_plain(output, _check_output(choice.name, output, num_classes)),
        )
    return _found[key]


def _is_plain(output: object, logits: Tensor) -> bool:
    return isinstance(output, Tensor) and (logits.shape[1] < 2 or is_of_no_kind(logits.detach().double().cpu()))


def check_model(choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int) -> int:
    """Send one dummy batch through a model and return its number of parameters.

    Raises:
        ModelError: it cannot be built, raises, or its output is not (batch, num_classes).
    """
    found = _found_of(choice, image_shape, num_classes, _CPU)
    if found.parameters is not None:
        return found.parameters
    model = build_model(choice, image_shape, num_classes, seed=0).to(memory_format=found.order)
    for mode in (True, False):  # in training too: some models return a tuple or reject a size only there
        model.train(mode)
        try:
            with torch.set_grad_enabled(mode and not MODELS.is_built_in(choice.name)), kept_generators():
                output = model(torch.zeros(2, *image_shape).clone(memory_format=found.order))
                logits = _check_output(choice.name, output, num_classes)
                # The faster memory order if the model trains in it, else the usual one.
                if found.order is not FAST and logits.requires_grad:
                    torch.autograd.backward(logits.sum())
        except ModelError:
            raise
        except Exception as error:
            raise _refused(choice, image_shape, error) from error
    return sum(p.numel() for p in model.parameters())


def _refused(choice: ModelChoice, image_shape: tuple[int, int, int], error: Exception) -> ModelError:
    shape = "×".join(map(str, image_shape))
    return ModelError(f"model {choice.name}: a batch of {shape} images raised {_one_line(error)}")


def _check_output(name: str, output: object, num_classes: int) -> Tensor:
    """Return the logits in the output for two images."""
    if not isinstance(output, Tensor):
        try:
            output = logits_of(output, num_classes)
        except ModelError as error:
            raise ModelError(f"model {name}: {error}") from error
    if tuple(output.shape) != (2, num_classes):
        raise ModelError(
            f"model {name}: 2 images gave an output of shape {tuple(output.shape)}, but (2, {num_classes}) is needed: "
            f"one logit for each of the {num_classes} classes{_hint(output.shape, num_classes)}"
        )
    if not output.is_floating_point():
        raise ModelError(f"model {name}: the output is {output.dtype}; logits must be floating-point numbers")
    return output


def _hint(shape: torch.Size, num_classes: int) -> str:
    if len(shape) > 2 and shape[:2] == (2, num_classes):
        pixels = "" if shape[2:].numel() == 1 else "average over the pixels, then "
        return f"; {pixels}flatten them at the end of forward, as x.flatten(1) does"
    if len(shape) == 2 and shape[0] == 2:
        return f", not {shape[1]}: give the last layer that many outputs, or take num_classes as an argument"
    return ""


def _construct(choice: ModelChoice, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    available = {"in_channels": in_channels, "num_classes": num_classes, "image_size": image_size}
    if is_reference(choice.name):
        return _construct_custom(choice, available)
    try:
        model = MODELS.get(choice.name)
    except KeyError:
        raise ModelError(f"model: unknown '{choice.name}'; `cnnsweep models` lists the known ones") from None
    try:
        configured = model.model_validate(choice.arguments)
    except ValidationError as error:
        raise ModelError(f"model {choice.name}: {argument_mistake(model, error)}") from None
    return configured.build(in_channels, num_classes, image_size)


def _construct_custom(choice: ModelChoice, available: Mapping[str, Any]) -> nn.Module:
    factory: Callable[..., Any] = load_object(choice.name)
    if not callable(factory):
        raise ModelError(f"model {choice.name}: is {type(factory).__name__}, neither a class nor a function")
    parameters = _parameters(factory)
    takes_anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    accepted = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if not takes_anything:
        _refuse_unknown(choice.name, choice.arguments, accepted)
    offered = {n: v for n, v in available.items() if n in accepted}
    model = factory(**{**offered, **choice.arguments})
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {choice.name}: returned {type(model).__name__}, which is not a torch.nn.Module")
    return model


def _parameters(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(factory).parameters


def _refuse_unknown(name: str, arguments: Mapping[str, Any], accepted: list[str]) -> None:
    for argument in arguments:
        if argument not in accepted:
            close = difflib.get_close_matches(argument, accepted, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it takes {', '.join(accepted) or 'none'}"
            raise ModelError(f"model {name}: takes no argument '{argument}'; {hint}")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
