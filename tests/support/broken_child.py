"""Children of this process that end or hang as soon as Python starts in them."""

import os
from pathlib import Path

import pytest

ENDS = "import os\nos.abort()\n"
HANGS = "import signal\nsignal.pause()\n"


def break_children(folder: Path, how: str, environment: pytest.MonkeyPatch) -> None:
    """Have each Python process that is started from now on run some code first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(how, encoding="utf-8")
    path = os.pathsep.join((str(folder), *filter(None, [os.environ.get("PYTHONPATH")])))
    environment.setenv("PYTHONPATH", path)
