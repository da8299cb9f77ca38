"""Fixtures that several end-to-end files share."""

from pathlib import Path

import pytest

from support.edgetpu_device import MODE_KEY, TestDelegate, compiled_delegate


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled_delegate(tmp_path_factory.mktemp("delegate"))


@pytest.fixture
def delegate(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestDelegate:
    made = TestDelegate(library, tmp_path / "word")
    made.behave("fine")
    monkeypatch.setenv(MODE_KEY, str(made.word))
    return made
