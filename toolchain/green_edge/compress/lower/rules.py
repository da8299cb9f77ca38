"""Which rule draws a layer."""

from green_edge.compress.graph.values import Node
from green_edge.compress.lower import layers, sequences, windows
from green_edge.compress.lower.layers import Rule


def rule_of(node: Node) -> Rule:
    """Rule of a layer's kind; `layers.unknown` where there is none."""
    return _RULES.get(node.kind, layers.unknown)


_RULES: dict[str, Rule] = {
    "Conv1D": windows.conv,
    "Conv2D": windows.conv,
    "DepthwiseConv1D": windows.depthwise,
    "DepthwiseConv2D": windows.depthwise,
    "SeparableConv1D": windows.separable,
    "SeparableConv2D": windows.separable,
    "Conv1DTranspose": windows.transposed,
    "Conv2DTranspose": windows.transposed,
    "MaxPooling1D": windows.pool("MAX_POOL_2D"),
    "MaxPooling2D": windows.pool("MAX_POOL_2D"),
    "AveragePooling1D": windows.pool("AVERAGE_POOL_2D"),
    "AveragePooling2D": windows.pool("AVERAGE_POOL_2D"),
    "GlobalAveragePooling1D": windows.pool_all("MEAN"),
    "GlobalAveragePooling2D": windows.pool_all("MEAN"),
    "GlobalMaxPooling1D": windows.pool_all("REDUCE_MAX"),
    "GlobalMaxPooling2D": windows.pool_all("REDUCE_MAX"),
    "Dense": layers.dense,
    "Embedding": layers.embedding,
    "BatchNormalization": layers.batch_norm,
    "Rescaling": layers.rescaling,
    "Normalization": layers.normalization,
    "PReLU": layers.prelu,
    "Add": layers.elementwise("ADD"),
    "Subtract": layers.elementwise("SUB"),
    "Multiply": layers.elementwise("MUL"),
    "Maximum": layers.elementwise("MAXIMUM"),
    "Minimum": layers.elementwise("MINIMUM"),
    "Average": layers.average,
    "Concatenate": layers.concatenate,
    "Flatten": layers.reshape,
    "Reshape": layers.reshape,
    "Permute": layers.permute,
    "ZeroPadding1D": layers.pad,
    "ZeroPadding2D": layers.pad,
    "Cropping1D": layers.crop,
    "Cropping2D": layers.crop,
    "UpSampling2D": layers.upsample,
    **dict.fromkeys(
        ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Relu", "Relu6", "Sigmoid", "Tanh",
         "Silu", "HardSilu", "HardSigmoid", "Gelu", "Selu", "Softplus", "Elu"),
        layers.activation_layer,
    ),
    **dict.fromkeys(
        ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout",
         "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity", "InputLayer",
         "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast",
         "RandomBrightness"),
        layers.identity,
    ),
    **sequences.RULES,
}  # fmt: skip
