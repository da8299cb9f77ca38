"""Words of plans that fit in 80 columns."""


def short(name: str, width: int) -> str:
    """A name by its end where it is longer than a column."""
    return name if len(name) <= width else "..." + name[3 - width :]
