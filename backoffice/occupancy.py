"""One `up` a data folder: the file `up.lock` in it, locked for as long as the process lives.

The lock is the operating system's, so it ends with its process however that ends; the number inside only tells
people which process it is.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

LOCK_FILE = "up.lock"


class OccupiedError(Exception):
    """Another `up` has the data folder. The message names the folder and the process."""


class Occupancy:
    """Holds the data folder, which is made when missing. Raises OccupiedError."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._file = (data_dir / LOCK_FILE).open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise OccupiedError(
                f"{data_dir} is in use by another `countinghouse up` (process {holder}). Stop that one, or give this "
                "one a folder of its own with --data."
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def end(self) -> None:
        self._file.close()
