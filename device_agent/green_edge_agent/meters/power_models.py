"""Power of a machine from how busy its processors are: a straight line for each known board.

The lines of the Raspberry Pi boards are the linear coefficients that PowerJoular publishes
(raspberry_pi_cpu_formula.adb at commit c9358cb): measured facts, of one board each. Its
polynomials are not used: that of the Pi 5 gives 8.72 W when idle and 3.73 W at full load.

Their uncertainty is ours: of the boards with a usable polynomial, line and polynomial differ by up
to 48 % of the line (Pi 4 B 1.1, no load). The line of the Zero 2 W is an assumption without any
fit. So is that of an unknown machine: 4 W a logical processor at full load and a tenth of it when
idle are the defaults of CodeCarbon (codecarbon/core/cpu.py at 0161337, external/hardware.py at
004e88f); the straight line between them is ours, because with a curve the energy of a window would
depend on how often the load is read.
"""

from dataclasses import dataclass

from green_edge_agent.meters.board import Board, board_ids
from green_edge_wire.units import uw_from_w

UNKNOWN_HOST = "host"
# Expanded (k=2), see above.
_LINE_U_RATIO = 0.50
_HOST_W_PER_CPU = 4.0
_HOST_IDLE_RATIO = 0.1
# Expanded (k=2): the figure says little more than an order of magnitude.
_HOST_U_RATIO = 1.0


@dataclass(frozen=True, slots=True)
class PowerModel:
    """Power = `idle_uw` + `slope_uw` x busy share of all processors (0..1).

    Attributes:
        board_id: of the board that was measured, or `host`.
        revision: of that board; empty where there was none.
        bits: of the operating system on it; 0 for any.
        u_ratio: expanded uncertainty (k=2), relative.
        origin: where the coefficients come from, for a person.
        assumed: not measured on a board of this sort.
    """

    board_id: str
    revision: str
    bits: int
    idle_uw: int
    slope_uw: int
    u_ratio: float
    origin: str
    assumed: bool = False

    def power_uw(self, busy_ratio: float) -> int:
        """Power at a busy share."""
        return self.idle_uw + round(self.slope_uw * busy_ratio)


def _measured(board_id: str, revision: str, bits: int, idle_w: float, slope_w: float) -> PowerModel:
    origin = f"PowerJoular's fit of one board, revision {revision}"
    return PowerModel(
        board_id, revision, bits, uw_from_w(idle_w), uw_from_w(slope_w), _LINE_U_RATIO, origin
    )


_MODELS = (
    _measured("zero-w", "1.1", 0, 0.920, 0.473),
    _measured("pi1bplus", "1.2", 0, 1.314, 0.122),
    _measured("pi2", "1.1", 0, 1.290, 1.149),
    _measured("pi3", "1.2", 0, 1.078, 3.477),
    _measured("pi3bplus", "1.3", 0, 2.002, 3.298),
    _measured("pi4", "1.1", 32, 2.206, 3.712),
    _measured("pi4", "1.1", 64, 2.307, 4.496),
    _measured("pi4", "1.2", 32, 2.243, 3.484),
    _measured("pi4", "1.2", 64, 2.286, 4.534),
    _measured("pi400", "1.0", 64, 1.822, 5.025),
    _measured("pi5", "1.0", 64, 4.403, 3.458),
    PowerModel(
        "zero2",
        "",
        0,
        uw_from_w(0.6),
        uw_from_w(1.9),
        0.60,
        "an assumption: 0.6 W idle, 2.5 W with four busy cores; no published fit",
        assumed=True,
    ),
)


def known_models() -> tuple[str, ...]:
    """Ids that may be stated as the board."""
    return (*board_ids(), UNKNOWN_HOST)


def model_for(board: Board, *, stated_id: str | None = None) -> PowerModel:
    """The line for a machine, marked as assumed unless it was measured on such a board.

    Args:
        board: as detected.
        stated_id: one of `known_models()` that the user states; None to go by `board`.
    """
    wanted_id = stated_id or board.board_id
    rows = [row for row in _MODELS if row.board_id == wanted_id]
    if not rows:
        return _unknown_host(board.cpus)
    chosen = max(rows, key=lambda row: _nearness(row, board))
    if chosen.board_id != board.board_id and not chosen.assumed:
        return PowerModel(
            chosen.board_id,
            chosen.revision,
            chosen.bits,
            chosen.idle_uw,
            chosen.slope_uw,
            max(chosen.u_ratio, _HOST_U_RATIO),
            f"{chosen.origin}, stated by the user for another machine",
            assumed=True,
        )
    return chosen


def _nearness(row: PowerModel, board: Board) -> tuple[bool, bool, str]:
    return row.bits in (0, board.bits), row.revision == board.revision, row.revision


def _unknown_host(cpus: int) -> PowerModel:
    full_w = _HOST_W_PER_CPU * max(cpus, 1)
    return PowerModel(
        UNKNOWN_HOST,
        "",
        0,
        uw_from_w(full_w * _HOST_IDLE_RATIO),
        uw_from_w(full_w * (1 - _HOST_IDLE_RATIO)),
        _HOST_U_RATIO,
        f"an assumption for an unknown machine: 4 W for each of {max(cpus, 1)} processors",
        assumed=True,
    )
