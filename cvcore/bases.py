"""The pretrained bases by name. A literal table, nothing imported.

What a base expects of its images stands beside its name, so that it cannot be mismatched.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A pretrained base model: where Keras keeps it and what it expects. Sizes: pixels a side.

    `builder` is an attribute of `keras.applications`. `preprocessing` is "tf" (-1..1), "torch"
    (standardised RGB), "caffe" (zero-centred BGR) or "none" (0..255, scaled inside the model).
    Keras builds the base from `minimum_size` on. `fine_tune_at` is the first layer with weights of
    the architecture's last stage, the blocks at its lowest resolution; where Keras only numbers
    those layers, it is the named layer right before them, which has no weights. `weights_sizes` are
    the image sizes for which Keras has ImageNet weights of their own; empty where one file serves
    all.
    """

    builder: str
    preprocessing: str
    default_size: int
    minimum_size: int
    fine_tune_at: str
    weights_sizes: tuple[int, ...]


# name, builder, preprocessing, default size, minimum size, fine_tune_at
_ROWS = (
    ("xception", "Xception", "tf", 299, 71, "block13_sepconv1"),
    ("vgg16", "VGG16", "caffe", 224, 32, "block5_conv1"),
    ("vgg19", "VGG19", "caffe", 224, 32, "block5_conv1"),
    ("resnet50", "ResNet50", "caffe", 224, 32, "conv5_block1_1_conv"),
    ("resnet101", "ResNet101", "caffe", 224, 32, "conv5_block1_1_conv"),
    ("resnet152", "ResNet152", "caffe", 224, 32, "conv5_block1_1_conv"),
    ("resnet50_v2", "ResNet50V2", "tf", 224, 32, "conv5_block1_preact_bn"),
    ("resnet101_v2", "ResNet101V2", "tf", 224, 32, "conv5_block1_preact_bn"),
    ("resnet152_v2", "ResNet152V2", "tf", 224, 32, "conv5_block1_preact_bn"),
    ("inception_v3", "InceptionV3", "tf", 299, 75, "mixed7"),
    ("inception_resnet_v2", "InceptionResNetV2", "tf", 299, 75, "block17_20_ac"),
    ("mobilenet", "MobileNet", "tf", 224, 32, "conv_dw_12"),
    ("mobilenet_v2", "MobileNetV2", "tf", 224, 32, "block_13_expand"),
    ("mobilenet_v3_small", "MobileNetV3Small", "none", 224, 32, "expanded_conv_8_expand"),
    ("mobilenet_v3_large", "MobileNetV3Large", "none", 224, 32, "expanded_conv_12_expand"),
    ("densenet121", "DenseNet121", "torch", 224, 32, "conv5_block1_0_bn"),
    ("densenet169", "DenseNet169", "torch", 224, 32, "conv5_block1_0_bn"),
    ("densenet201", "DenseNet201", "torch", 224, 32, "conv5_block1_0_bn"),
    ("nasnet_mobile", "NASNetMobile", "tf", 224, 32, "reduction_conv_1_reduce_8"),
    ("nasnet_large", "NASNetLarge", "tf", 331, 32, "reduction_conv_1_reduce_12"),
    ("efficientnet_b0", "EfficientNetB0", "none", 224, 32, "block6a_expand_conv"),
    ("efficientnet_b1", "EfficientNetB1", "none", 240, 32, "block6a_expand_conv"),
    ("efficientnet_b2", "EfficientNetB2", "none", 260, 32, "block6a_expand_conv"),
    ("efficientnet_b3", "EfficientNetB3", "none", 300, 32, "block6a_expand_conv"),
    ("efficientnet_b4", "EfficientNetB4", "none", 380, 32, "block6a_expand_conv"),
    ("efficientnet_b5", "EfficientNetB5", "none", 456, 32, "block6a_expand_conv"),
    ("efficientnet_b6", "EfficientNetB6", "none", 528, 32, "block6a_expand_conv"),
    ("efficientnet_b7", "EfficientNetB7", "none", 600, 32, "block6a_expand_conv"),
    ("efficientnet_v2_b0", "EfficientNetV2B0", "none", 224, 32, "block6a_expand_conv"),
    ("efficientnet_v2_b1", "EfficientNetV2B1", "none", 240, 32, "block6a_expand_conv"),
    ("efficientnet_v2_b2", "EfficientNetV2B2", "none", 260, 32, "block6a_expand_conv"),
    ("efficientnet_v2_b3", "EfficientNetV2B3", "none", 300, 32, "block6a_expand_conv"),
    ("efficientnet_v2_s", "EfficientNetV2S", "none", 384, 32, "block6a_expand_conv"),
    ("efficientnet_v2_m", "EfficientNetV2M", "none", 480, 32, "block6a_expand_conv"),
    ("efficientnet_v2_l", "EfficientNetV2L", "none", 480, 32, "block6a_expand_conv"),
    ("convnext_tiny", "ConvNeXtTiny", "none", 224, 32, "convnext_tiny_downsampling_block_2"),
    ("convnext_small", "ConvNeXtSmall", "none", 224, 32, "convnext_small_downsampling_block_2"),
    ("convnext_base", "ConvNeXtBase", "none", 224, 32, "convnext_base_downsampling_block_2"),
    ("convnext_large", "ConvNeXtLarge", "none", 224, 32, "convnext_large_downsampling_block_2"),
    ("convnext_xlarge", "ConvNeXtXLarge", "none", 224, 32, "convnext_xlarge_downsampling_block_2"),
)
_WEIGHTS_SIZES = {"mobilenet": (128, 160, 192, 224), "mobilenet_v2": (96, 128, 160, 192, 224)}

BASES: dict[str, Base] = {
    name: Base(
        builder=builder,
        preprocessing=preprocessing,
        default_size=default_size,
        minimum_size=minimum_size,
        fine_tune_at=fine_tune_at,
        weights_sizes=_WEIGHTS_SIZES.get(name, ()),
    )
    for name, builder, preprocessing, default_size, minimum_size, fine_tune_at in _ROWS
}
