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
    those layers, it is the named layer right before them, which has no weights. `num_layers` counts
    what `fine_tune_at` may number, with `include_top=False`. `weights_sizes` are
    the image sizes for which Keras has ImageNet weights of their own; empty where one file serves
    all.
    """

    builder: str
    preprocessing: str
    default_size: int
    minimum_size: int
    fine_tune_at: str
    num_layers: int
    weights_sizes: tuple[int, ...]


# name, builder, preprocessing, default size, minimum size, fine_tune_at, number of layers
_ROWS = (
    ("xception", "Xception", "tf", 299, 71, "block13_sepconv1", 132),
    ("vgg16", "VGG16", "caffe", 224, 32, "block5_conv1", 19),
    ("vgg19", "VGG19", "caffe", 224, 32, "block5_conv1", 22),
    ("resnet50", "ResNet50", "caffe", 224, 32, "conv5_block1_1_conv", 175),
    ("resnet101", "ResNet101", "caffe", 224, 32, "conv5_block1_1_conv", 345),
    ("resnet152", "ResNet152", "caffe", 224, 32, "conv5_block1_1_conv", 515),
    ("resnet50_v2", "ResNet50V2", "tf", 224, 32, "conv5_block1_preact_bn", 190),
    ("resnet101_v2", "ResNet101V2", "tf", 224, 32, "conv5_block1_preact_bn", 377),
    ("resnet152_v2", "ResNet152V2", "tf", 224, 32, "conv5_block1_preact_bn", 564),
    ("inception_v3", "InceptionV3", "tf", 299, 75, "mixed7", 311),
    ("inception_resnet_v2", "InceptionResNetV2", "tf", 299, 75, "block17_20_ac", 780),
    ("mobilenet", "MobileNet", "tf", 224, 32, "conv_dw_12", 86),
    ("mobilenet_v2", "MobileNetV2", "tf", 224, 32, "block_13_expand", 154),
    ("mobilenet_v3_small", "MobileNetV3Small", "none", 224, 32, "expanded_conv_8_expand", 157),
    ("mobilenet_v3_large", "MobileNetV3Large", "none", 224, 32, "expanded_conv_12_expand", 187),
    ("densenet121", "DenseNet121", "torch", 224, 32, "conv5_block1_0_bn", 427),
    ("densenet169", "DenseNet169", "torch", 224, 32, "conv5_block1_0_bn", 595),
    ("densenet201", "DenseNet201", "torch", 224, 32, "conv5_block1_0_bn", 707),
    ("nasnet_mobile", "NASNetMobile", "tf", 224, 32, "reduction_conv_1_reduce_8", 769),
    ("nasnet_large", "NASNetLarge", "tf", 331, 32, "reduction_conv_1_reduce_12", 1039),
    ("efficientnet_b0", "EfficientNetB0", "none", 224, 32, "block6a_expand_conv", 237),
    ("efficientnet_b1", "EfficientNetB1", "none", 240, 32, "block6a_expand_conv", 339),
    ("efficientnet_b2", "EfficientNetB2", "none", 260, 32, "block6a_expand_conv", 339),
    ("efficientnet_b3", "EfficientNetB3", "none", 300, 32, "block6a_expand_conv", 384),
    ("efficientnet_b4", "EfficientNetB4", "none", 380, 32, "block6a_expand_conv", 474),
    ("efficientnet_b5", "EfficientNetB5", "none", 456, 32, "block6a_expand_conv", 576),
    ("efficientnet_b6", "EfficientNetB6", "none", 528, 32, "block6a_expand_conv", 666),
    ("efficientnet_b7", "EfficientNetB7", "none", 600, 32, "block6a_expand_conv", 813),
    ("efficientnet_v2_b0", "EfficientNetV2B0", "none", 224, 32, "block6a_expand_conv", 270),
    ("efficientnet_v2_b1", "EfficientNetV2B1", "none", 240, 32, "block6a_expand_conv", 334),
    ("efficientnet_v2_b2", "EfficientNetV2B2", "none", 260, 32, "block6a_expand_conv", 349),
    ("efficientnet_v2_b3", "EfficientNetV2B3", "none", 300, 32, "block6a_expand_conv", 409),
    ("efficientnet_v2_s", "EfficientNetV2S", "none", 384, 32, "block6a_expand_conv", 513),
    ("efficientnet_v2_m", "EfficientNetV2M", "none", 480, 32, "block6a_expand_conv", 740),
    ("efficientnet_v2_l", "EfficientNetV2L", "none", 480, 32, "block6a_expand_conv", 1028),
    ("convnext_tiny", "ConvNeXtTiny", "none", 224, 32, "convnext_tiny_downsampling_block_2", 133),
    (
        "convnext_small",
        "ConvNeXtSmall",
        "none",
        224,
        32,
        "convnext_small_downsampling_block_2",
        259,
    ),
    ("convnext_base", "ConvNeXtBase", "none", 224, 32, "convnext_base_downsampling_block_2", 259),
    (
        "convnext_large",
        "ConvNeXtLarge",
        "none",
        224,
        32,
        "convnext_large_downsampling_block_2",
        259,
    ),
    (
        "convnext_xlarge",
        "ConvNeXtXLarge",
        "none",
        224,
        32,
        "convnext_xlarge_downsampling_block_2",
        259,
    ),
)
_WEIGHTS_SIZES = {"mobilenet": (128, 160, 192, 224), "mobilenet_v2": (96, 128, 160, 192, 224)}

BASES: dict[str, Base] = {
    name: Base(
        builder=builder,
        preprocessing=preprocessing,
        default_size=default_size,
        minimum_size=minimum_size,
        fine_tune_at=fine_tune_at,
        num_layers=num_layers,
        weights_sizes=_WEIGHTS_SIZES.get(name, ()),
    )
    for name, builder, preprocessing, default_size, minimum_size, fine_tune_at, num_layers in _ROWS
}
