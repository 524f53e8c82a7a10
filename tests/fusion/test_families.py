"""The smallest member of every torchvision family trains fused as its runs train alone, and the docs say how."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from fused_and_alone import CPU, squares
from torch import Tensor, nn
from torchvision.models import convnext, resnet, swin_transformer

from cnnsweep.fusion.fused_module import Dispatch, FusedModel
from cnnsweep.models.build import build_model
from cnnsweep.seeding import seed_device
from cnnsweep.types import ModelChoice

FAMILIES = (
    "alexnet", "vgg11", "vgg11_bn", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2",
    "mobilenet_v3_small", "squeezenet1_0", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf", "efficientnet_b0",
    "efficientnet_v2_s", "googlenet", "inception_v3", "convnext_tiny", "vit_b_16", "swin_t", "swin_v2_t", "maxvit_t",
)  # fmt: skip
# They take up to half a minute each, so that only CNNSWEEP_ALL_FAMILIES=1 runs them; some have a small sister below.
HEAVY = frozenset(
    [
        "alexnet",
        "vgg11",
        "vgg11_bn",
        "resnext50_32x4d",
        "wide_resnet50_2",
        "densenet121",
        "efficientnet_v2_s",
        "inception_v3",
        "convnext_tiny",
        "vit_b_16",
        "swin_t",
        "swin_v2_t",
        "maxvit_t",
    ]
)
SMALL: dict[str, Callable[[], nn.Module]] = {
    "small resnext": lambda: torchvision.models.ResNet(
        resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, groups=4, width_per_group=4
    ),
    "small densenet": lambda: torchvision.models.DenseNet(4, (2, 2), 8, bn_size=2, drop_rate=0.2, num_classes=10),
    "small convnext": lambda: torchvision.models.ConvNeXt(
        [convnext.CNBlockConfig(8, 12, 2), convnext.CNBlockConfig(12, None, 1)], 0.4, num_classes=10
    ),
    "small vit": lambda: torchvision.models.VisionTransformer(
        32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, dropout=0.2, attention_dropout=0.2, num_classes=10
    ),
    "small swin": lambda: torchvision.models.SwinTransformer(
        [4, 4], 8, [2, 2], [2, 2], [4, 4], dropout=0.1, stochastic_depth_prob=0.4, num_classes=10
    ),
    "small swin v2": lambda: torchvision.models.SwinTransformer(
        [4, 4], 8, [2, 2], [2, 2], [4, 4], stochastic_depth_prob=0.4, num_classes=10,
        block=swin_transformer.SwinTransformerBlockV2, downsample_layer=swin_transformer.PatchMergingV2,
    ),
    "small maxvit": lambda: torchvision.models.MaxVit(
        (32, 32), 8, 4, [8, 16], [1, 1], 4, stochastic_depth_prob=0.4, num_classes=10
    ),
}  # fmt: skip
RUNS, IMAGE_SHAPE, CLASSES = 2, (3, 32, 32), 10
RATE = 1e-4  # from random weights, larger steps make Inception overflow
# float64: rounding of 2e-16 grows through up to 200 layers, each normalised over two images. A gradient that is zero
# but for rounding, as that of a convolution's bias before batch normalisation, has the model's largest as its scale.
TOLERANCE = 1e-7
DOCS = Path(__file__).parent.parent.parent / "docs" / "families.md"


def family_models(name: str) -> list[nn.Module]:
    models = []
    for seed in range(RUNS):
        torch.manual_seed(seed)
        choice = ModelChoice(name, {})
        model = SMALL[name]() if name in SMALL else build_model(choice, IMAGE_SHAPE, CLASSES, seed=seed)
        random = torch.Generator().manual_seed(seed)
        for module in model.modules():
            if isinstance(module, nn.Linear) and not module.weight.any():  # ViT's head, whose zeros hide all before it
                nn.init.normal_(module.weight, std=0.1, generator=random)
        models.append(model.to(torch.float64, memory_format=torch.channels_last))
    return models


def random_images(seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(2, *IMAGE_SHAPE, generator=random, dtype=torch.float64)
    return images.contiguous(memory_format=torch.channels_last)


def table_line(name: str, fused: FusedModel) -> str:
    """Return the row of the table in the docs."""
    counts = Counter(fused.forms(training=True).values())
    ways = (Dispatch.FAST, Dispatch.VMAP, Dispatch.EACH)
    return f"| {name} | yes | {', '.join(f'{counts[how]} {how}' for how in ways)} |"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name in HEAVY and not os.environ.get("CNNSWEEP_ALL_FAMILIES"), reason="CNNSWEEP_ALL_FAMILIES is not set"
            ),
        )
        for name in (*FAMILIES, *SMALL)
    ],
)
def family(request) -> tuple[str, list[nn.Module], FusedModel]:
    models = family_models(request.param)
    return request.param, models, FusedModel(copy.deepcopy(models), random_images(seed=1))


def assert_near(actual: Tensor, expected: Tensor, what: str, scale: float) -> None:
    atol = TOLERANCE * scale
    torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=atol, msg=lambda m: f"{what}: {m}")


def largest(tensor: Tensor) -> float:
    return float(tensor.detach().abs().max())


def test_family_trains_fused_as_alone(family):
    _, models, fused = family
    images = random_images(seed=2)
    optimizer = torch.optim.SGD(fused.parameters.values(), RATE)
    with torch.no_grad():
        evaluated = fused(images.clone(), 1, training=False)
    fused.generators.seed([10, 11])
    outputs = fused(images.clone(), 1, training=True)
    sum(squares(of_run) for of_run in outputs).backward()
    optimizer.step()
    for run, model in enumerate(models):
        with torch.no_grad():
            alone = model.eval()(images.clone())
        assert_near(evaluated[run], alone, f"evaluated output of run {run}", largest(alone))
        seed_device(CPU, 10 + run)
        alone = model.train()(images.clone())
        assert_near(outputs[run].detach(), alone.detach(), f"output of run {run}", largest(alone))
        squares(alone).backward()
        scale = max(largest(p.grad) for p in model.parameters() if p.grad is not None)
        for name, p in model.named_parameters():
            gradient = fused.parameters[name].grad
            assert (p.grad is None) == (gradient is None), name
            if p.grad is not None:
                assert_near(gradient[run], p.grad, f"gradient of {name} of run {run}", scale)
        torch.optim.SGD(model.parameters(), RATE).step()
        state = fused.state_of(run)
        assert list(state) == list(model.state_dict())
        for name, value in model.state_dict().items():
            assert_near(state[name], value, f"{name} of run {run} after a step", max(largest(value), RATE * scale))


def test_docs_say_how_the_family_runs(family):
    name, _, fused = family
    if name in SMALL:
        pytest.skip("the docs have the real members only")
    assert table_line(name, fused) in DOCS.read_text().splitlines()


def test_docs_list_every_family_once():
    table, _, _ = DOCS.read_text().partition("\n## ")
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert rows == ["family", *FAMILIES]
