import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from green_edge.bundle.keys import trusting
from green_edge_wire.archive import canonical, open_bundle
from green_edge_wire.errors import IntegrityError
from support.bundles import test_signer, tiny_bundle

TRUST = trusting([test_signer().public])
BUNDLE = tiny_bundle()

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}(/[a-z0-9][a-z0-9._-]{0,9}){0,2}", fullmatch=True)
edits = st.lists(
    st.tuples(st.integers(0, len(BUNDLE) - 1), st.integers(0, 255)), min_size=1, max_size=6
)


@given(st.binary(max_size=300))
@example(b"")
@example(b"PK\x05\x06" + bytes(18))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        open_bundle(data, TRUST)


@given(edits)
def test_a_bundle_with_several_bytes_changed_is_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(BUNDLE)
    for position, value in changes:
        data[position] = value
    if bytes(data) == BUNDLE:
        return
    with pytest.raises(IntegrityError):
        open_bundle(bytes(data), TRUST)


@given(st.integers(0, len(BUNDLE)), st.integers(0, len(BUNDLE)), st.binary(min_size=1, max_size=40))
def test_a_bundle_with_a_part_replaced_is_refused(start: int, end: int, other: bytes) -> None:
    data = BUNDLE[: min(start, end)] + other + BUNDLE[max(start, end) :]
    if data == BUNDLE:
        return
    with pytest.raises(IntegrityError):
        open_bundle(data, TRUST)


@given(st.lists(st.tuples(names, st.binary(max_size=50)), max_size=8, unique_by=lambda m: m[0]))
def test_an_archive_of_any_members_is_no_bundle_without_a_trusted_signature(
    members: list[tuple[str, bytes]],
) -> None:
    with pytest.raises(IntegrityError):
        open_bundle(canonical(members), TRUST)
