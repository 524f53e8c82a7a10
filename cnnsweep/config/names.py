"""The names that a sweep file may use, as plain text, so that a file is checked without importing torch."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A built-in data set: one line about it, and the arguments that it takes beside `name` and `normalize`."""

    description: str
    arguments: tuple[str, ...] = ()


DATASETS: Mapping[str, KnownDataset] = {
    "fashion_mnist": KnownDataset("Fashion-MNIST: 60,000 + 10,000 grey 28×28 images of clothes, 10 classes"),
    "mnist": KnownDataset("MNIST: 60,000 + 10,000 grey 28×28 handwritten digits, 10 classes"),
    "kmnist": KnownDataset("Kuzushiji-MNIST: 60,000 + 10,000 grey 28×28 cursive Japanese characters, 10 classes"),
    "emnist": KnownDataset("EMNIST: grey 28×28 handwritten letters and digits, up to 62 classes", ("split",)),
    "qmnist": KnownDataset("QMNIST: MNIST with its whole test set, 60,000 + 60,000 grey 28×28 digits, 10 classes"),
    "cifar10": KnownDataset("CIFAR-10: 50,000 + 10,000 colour 32×32 photographs, 10 classes"),
    "cifar100": KnownDataset("CIFAR-100: 50,000 + 10,000 colour 32×32 photographs, 100 classes"),
    "svhn": KnownDataset("SVHN: 73,257 + 26,032 colour 32×32 house-number digits, 10 classes"),
    "image_folder": KnownDataset(
        "your own images, one folder a class, any size and mode",
        ("path", "size", "channels", "test", "broken"),
    ),
    "shapes": KnownDataset(
        "drawn shapes, built in: needs no network and no files",
        ("size", "channels", "classes", "train", "test", "seed"),
    ),
}

PRESET_MODELS: Mapping[str, str] = {
    "lenet": "2 convolutions of 5×5 (6 and 12 channels), 2 hidden linear layers (120 and 60); 44,426 parameters",
    "cifar_cnn": "3 convolutions with pooling and 2 linear layers, for small colour images",
    "cnn": "a stack of convolutions and linear layers, every size given by arguments",
}

# What torchvision.models.list_models(module=torchvision.models) says in 0.29; asking it would import torch.
TORCHVISION_MODELS: tuple[str, ...] = tuple(
    """
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169 densenet201
    efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
    efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
    mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf
    regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf
    regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152
    resnet18 resnet34 resnet50 resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5
    shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t
    swin_v2_b swin_v2_s swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32
    vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
    """.split()  # noqa: SIM905 - eighty names in quotes would take two screens
)

MODELS: tuple[str, ...] = (*PRESET_MODELS, *TORCHVISION_MODELS)

EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")

PRECISIONS = ("fp32", "bf16", "fp64")
