from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop that nobody has opened. At its end every process is gone, and none has shown a trace-back."""
    one = Shop(tmp_path)
    yield one
    one.close()
    assert one.complaints() == []
