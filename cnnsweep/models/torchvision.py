"""torchvision's classification models, by its own list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field

from cnnsweep.errors import ModelError
from cnnsweep.field_types import Plain, Refused
from cnnsweep.models.base import ModelConfig

if TYPE_CHECKING:
    from torch import nn

# By prefix of the name, the longest match; for torchvision 0.24 to 0.29, as far as YAML can express the values.
_ARGUMENTS: Mapping[str, str] = {
    "alexnet": "dropout",
    "convnext": "stochastic_depth_prob layer_scale",
    "densenet": "bn_size drop_rate memory_efficient",
    "efficientnet": "dropout stochastic_depth_prob",
    "googlenet": "aux_logits transform_input init_weights dropout dropout_aux",
    "inception_v3": "aux_logits transform_input init_weights dropout",
    "maxvit": "input_size squeeze_ratio expansion_ratio mlp_ratio mlp_dropout attention_dropout",
    "mnasnet": "dropout",
    "mobilenet_v2": "width_mult inverted_residual_setting round_nearest dropout",
    "mobilenet_v3": "dropout width_mult reduced_tail dilated",
    "regnet": "stem_width",
    "resnet": "zero_init_residual groups width_per_group replace_stride_with_dilation",
    "resnext": "zero_init_residual replace_stride_with_dilation",
    "shufflenet": "",
    "squeezenet": "dropout",
    "swin": "mlp_ratio dropout attention_dropout",
    "vgg": "init_weights dropout",
    "vit": "image_size dropout attention_dropout representation_size conv_stem_configs",
    "wide_resnet": "zero_init_residual groups replace_stride_with_dilation",
}


# The result of torchvision.models.list_models(module=torchvision.models) in 0.29; calling it would import torch.
class TorchvisionModel(
    ModelConfig,
    names="""
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
    """,
):
    """torchvision's, adapted to the images' channels and size."""

    model_config = ConfigDict(extra="allow")  # torchvision checks the arguments in `build`
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    weights: Annotated[None, Refused("pretrained weights are not supported: every run starts from random ones")] = None
    num_classes: Annotated[None, Refused("the data set decides it")] = None

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        family = max((name for name in _ARGUMENTS if cls.name.startswith(name)), key=len)
        return (*_ARGUMENTS[family].split(), "progress", "norm_layer")  # YAML has no functions, but `null` is a default

    def build(self, in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        from cnnsweep.models.torchvision_module import build_vision_model  # imports torchvision, which takes a second

        arguments: dict[str, Any] = self.model_dump(exclude_unset=True)
        try:
            return build_vision_model(self.name, in_channels, num_classes, image_size, arguments)
        except TypeError as error:
            text = f"TypeError: {' '.join(str(error).split())}"
            raise ModelError(f"model {self.name}: torchvision refuses its arguments: {text}") from error
