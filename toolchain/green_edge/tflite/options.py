"""Reads the settings of an operation out of its builtin options, whatever table these are in."""

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from green_edge.tflite.model import Options


def constant_names(constants: type) -> dict[int, str]:
    """Names of a schema's enumeration by their codes."""
    return {value: key for key, value in vars(constants).items() if not key.startswith("_")}


def read_options(operator: Any) -> Options | None:
    """Settings of an operation of the flatbuffer schema; None where it has none that are read."""
    kind = _TABLES.get(operator.BuiltinOptionsType())
    stored = operator.BuiltinOptions()
    table_class = getattr(schema, kind, None) if kind is not None else None
    if table_class is None or stored is None:
        return None
    table = table_class()
    table.Init(stored.Bytes, stored.Pos)
    found = Options(
        fused_activation=_named(table, "FusedActivationFunction", _ACTIVATIONS),
        stride=_pair(table, "StrideH", "StrideW"),
        dilation=_pair(table, "DilationHFactor", "DilationWFactor"),
        window=_pair(table, "FilterHeight", "FilterWidth"),
        padding=_named(table, "Padding", _PADDINGS),
        axis=_number(table, "Axis"),
        num_splits=_number(table, "NumSplits"),
        weights_format=_named(table, "WeightsFormat", _WEIGHTS_FORMATS),
        keep_num_dims=_flag(table, "KeepNumDims"),
        keep_dims=_flag(table, "KeepDims"),
        align_corners=_flag(table, "AlignCorners"),
        half_pixel_centers=_flag(table, "HalfPixelCenters"),
        begin_mask=_number(table, "BeginMask"),
        end_mask=_number(table, "EndMask"),
        ellipsis_mask=_number(table, "EllipsisMask"),
        new_axis_mask=_number(table, "NewAxisMask"),
        shrink_axis_mask=_number(table, "ShrinkAxisMask"),
    )
    return None if found == _NOTHING else found


def _number(table: Any, field: str) -> int | None:
    read = getattr(table, field, None)
    return None if read is None else int(read())


def _flag(table: Any, field: str) -> bool | None:
    number = _number(table, field)
    return None if number is None else bool(number)


def _pair(table: Any, first: str, second: str) -> tuple[int, int] | None:
    one, other = _number(table, first), _number(table, second)
    return None if one is None or other is None else (one, other)


def _named(table: Any, field: str, names: dict[int, str]) -> str | None:
    number = _number(table, field)
    return None if number is None else names.get(number)


_NOTHING = Options()
_TABLES = constant_names(schema.BuiltinOptions)
_ACTIVATIONS = constant_names(schema.ActivationFunctionType)
_PADDINGS = constant_names(schema.Padding)
_WEIGHTS_FORMATS = constant_names(schema.FullyConnectedOptionsWeightsFormat)
