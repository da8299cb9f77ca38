from hypothesis import given, settings
from hypothesis import strategies as st

from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from support.tiny_models import tiny_float_conv, tiny_int8_dense

_MODELS = (tiny_float_conv(), tiny_int8_dense())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_MODELS), st.data())
def test_a_damaged_model_reads_or_is_a_model_error(model: bytes, data: st.DataObject) -> None:
    damaged = bytearray(model)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(8, len(model) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(8, len(model)))
    try:
        read(bytes(damaged[:end]))
    except ModelError:
        return


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_identifier_read_or_are_a_model_error(tail: bytes) -> None:
    try:
        read(b"\x10\x00\x00\x00TFL3" + tail)
    except ModelError:
        return
