"""The order of a model's outputs: its author's, whatever order a converter wrote them in."""

import numpy as np
import pytest

from green_edge.convert.signature import as_converted, in_authors_order, names
from green_edge.tflite.read import read
from green_edge_agent.runtime.interpreter import load
from support.tiny_models import tiny_float_dense, tiny_float_two_heads


def sizes(model: bytes) -> list[int]:
    return [spec.shape[-1] for spec in read(model).outputs]


def test_the_output_of_number_0_comes_first_and_keeps_its_values() -> None:
    permuted = tiny_float_two_heads()
    assert (names(permuted).outputs, sizes(permuted)) == (("output_1", "output_0"), [5, 3])
    mended = in_authors_order(permuted)
    assert (names(mended).outputs, sizes(mended)) == (("output_0", "output_1"), [3, 5])
    x = [np.ones((1, 4), np.float32)]
    for before, after in zip(load(permuted).invoke(x)[::-1], load(mended).invoke(x), strict=True):
        assert before.tolist() == after.tolist()


def test_putting_outputs_in_order_moves_no_other_byte() -> None:
    permuted = tiny_float_two_heads()
    mended = in_authors_order(permuted)
    assert len(mended) == len(permuted)
    assert sum(a != b for a, b in zip(mended, permuted, strict=True)) == 2
    assert in_authors_order(mended) == mended


@pytest.mark.parametrize("given", [("zz", "aa"), ("output_1", "scores")])
def test_outputs_with_names_of_their_own_stay_where_the_file_has_them(
    given: tuple[str, str],
) -> None:
    model = tiny_float_two_heads(given)
    assert in_authors_order(model) == model


def test_numbers_count_as_numbers_and_not_as_text() -> None:
    model = tiny_float_two_heads(("output_10", "output_9"))
    assert names(in_authors_order(model)).outputs == ("output_9", "output_10")


def test_what_the_converter_made_of_a_dict_is_ordered_by_name() -> None:
    assert names(as_converted(tiny_float_two_heads(("zz", "aa")))).outputs == ("aa", "zz")


def test_a_list_of_inputs_that_the_file_does_not_have_changes_nothing() -> None:
    model = tiny_float_dense()
    assert as_converted(model, ("other", "names")) == model
    assert as_converted(model, ("x",)) == model
