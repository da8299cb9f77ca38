"""Conversions of units: the only place where a power of ten changes one unit into another."""

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
UJ_PER_MJ = 1_000
UJ_PER_J = 1_000_000
UW_PER_MW = 1_000
UW_PER_W = 1_000_000
KIB_BYTES = 1_024
MIB_BYTES = 1_048_576


def us_from_ns(duration_ns: float) -> float:
    """Convert nanoseconds to microseconds."""
    return duration_ns / NS_PER_US


def ms_from_ns(duration_ns: float) -> float:
    """Convert nanoseconds to milliseconds."""
    return duration_ns / NS_PER_MS


def s_from_ns(duration_ns: float) -> float:
    """Convert nanoseconds to seconds."""
    return duration_ns / NS_PER_S


def ns_from_s(duration_s: float) -> int:
    """Convert seconds to whole nanoseconds, rounded half to even."""
    return round(duration_s * NS_PER_S)


def ms_from_s(duration_s: float) -> int:
    """Convert seconds to whole milliseconds, rounded half to even."""
    return round(duration_s * MS_PER_S)


def mj_from_uj(energy_uj: float) -> float:
    """Convert microjoules to millijoules."""
    return energy_uj / UJ_PER_MJ


def j_from_uj(energy_uj: float) -> float:
    """Convert microjoules to joules."""
    return energy_uj / UJ_PER_J


def w_from_uw(power_uw: float) -> float:
    """Convert microwatts to watts."""
    return power_uw / UW_PER_W


def uw_from_w(power_w: float) -> int:
    """Convert watts to whole microwatts, rounded half to even."""
    return round(power_w * UW_PER_W)


def uj_from_uw_ns(power_uw: float, duration_ns: int) -> int:
    """Energy of a constant power over a duration, in whole microjoules, rounded half to even."""
    return round(power_uw * duration_ns / NS_PER_S)


def uw_from_uj_ns(energy_uj: float, duration_ns: int) -> int:
    """Mean power of an energy over a positive duration, in whole microwatts."""
    return round(energy_uj * NS_PER_S / duration_ns)
