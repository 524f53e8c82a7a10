"""Export of a checkpoint as ONNX, torch.export or safetensors; the outputs are compared before the file is kept.

The exported model takes uint8 images (N, C, H, W) as stored, 0 to 255, and normalises them; without that option it
takes normalised float32 images. It returns logits (N, classes). The metadata are texts, see `describe_export`.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import CheckpointError, CnnSweepError, UsageError
from cnnsweep.evaluation.export_metadata import INPUT, OUTPUT, describe_export
from cnnsweep.evaluation.find_checkpoint import find_checkpoint
from cnnsweep.evaluation.model_card import Description, describe
from cnnsweep.evaluation.restore import restore_model
from cnnsweep.evaluation.sample_images import sample_images
from cnnsweep.evaluation.thresholds import stored_thresholds
from cnnsweep.formatting.numbers import count_text
from cnnsweep.models.build import build_model
from cnnsweep.models.logits import LogitsModel, giving_logits
from cnnsweep.models.memory_format import USUAL
from cnnsweep.storage.atomic_files import replace_file
from cnnsweep.storage.checkpoint import on_cpu
from cnnsweep.storage.verified_weights import load_known_best

ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_RELATIVE, _ABSOLUTE = 1e-3, 1e-6  # relative to the largest logit, and absolute; other kernels sum in another order
_BATCHES = (1, 3)  # batch size checked in addition to all images at once: the batch size must not be fixed
_MOST_ONNX_BYTES = 2**31 - 1  # limit of one file, which is a protocol buffer


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        format: onnx, torch-export or safetensors.
        normalize: the exported model takes pixels and normalises them; not for weights alone.
        allow_code: import the code that the checkpoint names, which can do anything; so this needs permission.
        force: replace an existing output file.
        loading: called with the progress of loading: (activity, done, total).
    """

    format: str
    output: Path
    data_root: Path
    normalize: bool = True
    allow_code: bool = False
    force: bool = False
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """The written file.

    Attributes:
        images: number of images of the comparison with the model; `source` describes them.
        difference: the largest difference between its logits and the model's.
        note: a remark on the file's content.
    """

    file: Path
    run: str
    images: int
    source: str
    difference: float
    note: str | None = None


class PixelModel(nn.Module):
    """A model that takes uint8 images (N, C, H, W) and normalises them as its training did."""

    def __init__(self, model: nn.Module, pixels: PixelNormalize) -> None:
        super().__init__()
        self.factor: Tensor
        self.offset: Tensor
        self.model = model
        self.register_buffer("factor", torch.tensor([1 / (255 * std) for std in pixels.std])[:, None, None])
        offset = [-mean / std for mean, std in zip(pixels.mean, pixels.std, strict=True)]
        self.register_buffer("offset", torch.tensor(offset)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits: Tensor = self.model(images.to(torch.float32) * self.factor + self.offset)
        return logits


def export_checkpoint(path: Path, options: ExportOptions) -> Export:
    """Write a checkpoint's model in another format, after comparing the outputs.

    Args:
        path: a `best.safetensors`, a run folder, or a sweep folder (its best run).

    Raises:
        CnnSweepError: checkpoint, packages or output file are unsuitable, or the exported model differs.
    """
    _refuse(options)
    weights_file = find_checkpoint(path)
    checkpoint = load_known_best(weights_file)
    about = describe(weights_file, checkpoint.description, options.data_root, allow_code=options.allow_code)
    model = restore_model(weights_file, checkpoint.weights, about).eval()
    images, source = sample_images(about, options.data_root, options.loading)
    takes_pixels = options.normalize and options.format != "safetensors"
    inputs = images if takes_pixels else about.pixels.to_model_input(images, USUAL)
    model = giving_logits(model, about.pixels.to_model_input(images[:1], USUAL), len(about.classes))
    wanted = PixelModel(model, about.pixels).eval() if takes_pixels else model
    thresholds = stored_thresholds(weights_file, about) if about.is_multi_label else None
    metadata = describe_export(about, thresholds, takes_pixels=takes_pixels)
    try:
        with _quiet():
            content, exported = _FORMATS[options.format](wanted, inputs, metadata, about)
            difference = _largest_difference(model, about.pixels, images, inputs, exported)
    except CnnSweepError:
        raise
    except Exception as error:  # exporters raise any error of a user's forward under a tracer
        reason = " ".join(str(error).split())[:300]
        hint = "" if options.format == "safetensors" else "; --format safetensors needs no tracing"
        raise CheckpointError(
            f"{weights_file}: its model cannot be exported to {options.format} ({type(error).__name__}: {reason}){hint}"
        ) from error
    replace_file(options.output, content)
    note = None if thresholds is None else thresholds.note
    return Export(options.output, about.run, len(images), source, difference, note)


def _refuse(options: ExportOptions) -> None:
    if options.format not in ENDINGS:
        raise UsageError(f"--format: found '{options.format}', allowed are {', '.join(ENDINGS)}")
    if options.output.is_dir():
        raise UsageError(f"--output: {options.output} is a folder; name a file")
    if options.output.exists() and not options.force:
        raise UsageError(f"{options.output}: already exists; choose another --output, or add --force to replace it")
    if options.format == "safetensors" and not options.normalize:
        raise UsageError("--no-normalize: weights alone never normalise; the file has mean and std")
    missing = [name for name in _ONNX_PACKAGES if options.format == "onnx" and not importlib.util.find_spec(name)]
    if missing:
        raise UsageError(f"--format onnx needs {', '.join(missing)}; install it with: pip install 'cnnsweep[export]'")


_Exported = tuple[bytes, Callable[[Tensor], Tensor]]  # the file, and the model read back from it


def _to_onnx(model: nn.Module, inputs: Tensor, metadata: dict[str, str], _about: Description) -> _Exported:
    import onnx
    import onnxruntime

    program = torch.onnx.export(
        model,
        (_example(inputs),),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    if proto.ByteSize() > _MOST_ONNX_BYTES:
        raise ValueError("it is larger than 2 GB, the limit of one ONNX file")
    onnx.helper.set_model_props(proto, metadata)
    content = proto.SerializeToString()
    onnx.checker.check_model(content)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return content, run


def _to_torch_export(model: nn.Module, inputs: Tensor, metadata: dict[str, str], _about: Description) -> _Exported:
    batch = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(model, (_example(inputs),), dynamic_shapes=batch)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"cnnsweep.json": json.dumps(metadata)})
    content = file.getvalue()
    return content, torch.export.load(io.BytesIO(content)).module()


def _example(inputs: Tensor) -> Tensor:
    return inputs[:1].repeat(2, 1, 1, 1)  # for a single image, exporters would fix the batch size


def _to_safetensors(model: nn.Module, _inputs: Tensor, metadata: dict[str, str], about: Description) -> _Exported:
    own = model.model if isinstance(model, LogitsModel) else model
    content = save_safetensors(on_cpu(own.state_dict()), metadata)  # copies: a file cannot hold shared weights
    again = build_model(about.model, about.image_shape, len(about.classes), seed=0).eval()
    again.load_state_dict(load_safetensors(content))
    return content, LogitsModel(again, len(about.classes))


_FORMATS: dict[str, Callable[[nn.Module, Tensor, dict[str, str], Description], _Exported]] = {
    "onnx": _to_onnx,
    "torch-export": _to_torch_export,
    "safetensors": _to_safetensors,
}


@torch.inference_mode()
def _largest_difference(
    model: nn.Module, pixels: PixelNormalize, images: Tensor, inputs: Tensor, exported: Callable[[Tensor], Tensor]
) -> float:
    """Return the maximum error of an exported model's logits.

    Raises:
        CheckpointError: it exceeds rounding.
    """
    largest = 0.0
    for count in (*_BATCHES, len(images)):
        wanted = model(pixels.to_model_input(images[:count], USUAL))
        found = exported(inputs[:count])
        difference = (found - wanted).abs().max().item() if found.shape == wanted.shape else float("nan")
        if not difference <= _RELATIVE * wanted.abs().max().item() + _ABSOLUTE:
            raise CheckpointError(
                f"the exported model differs from the checkpoint's on {count_text(count, 'image')} "
                f"(largest difference of a logit: {difference:.3g}); nothing was written"
            )
        largest = max(largest, difference)
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' output and warnings about their internals."""
    nothing: Any = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(nothing), redirect_stderr(nothing):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
