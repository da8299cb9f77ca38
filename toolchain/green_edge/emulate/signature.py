"""Checks who signed a Release file."""

from collections.abc import Sequence

from green_edge.emulate.setting import EmulationError


def signed_text(message: bytes, keys: bytes, *, place: str) -> str:
    """The text that a clear-signed message really signs.

    Args:
        message: such as an archive's `InRelease`.
        keys: OpenPGP certificates, armoured; one of them must have signed.
        place: where the message came from, for errors.

    Raises:
        EmulationError: none of them did, or the library that checks is missing.
    """
    try:
        from pysequoia import Cert, verify  # noqa: PLC0415 - of the extra `build`
    except ImportError:
        hint = "pip install 'green-edge[build]'"
        raise EmulationError(
            "pysequoia is not installed; it checks signatures", hint=hint
        ) from None
    certificates = Cert.split_bytes(keys)

    def trusted(_key_ids: Sequence[str]) -> list[Cert]:
        return certificates

    try:
        content = verify(message, store=trusted).bytes
    except RuntimeError as error:
        # The first line tells; a stack of the library follows.
        reason = str(error).partition("\n")[0]
        hint = (
            "the mirror or something on the way to it changes files; use another network or mirror"
        )
        raise EmulationError(f"{place}: not signed by Debian: {reason}", hint=hint) from None
    return bytes(content or b"").decode()
