"""How a process that moves many records at a time, or shows many figures, uses Python and its libraries."""

from __future__ import annotations

import gc
import os
import sys

TURN_S = 0.0005
"""How long a thread keeps the interpreter while others wait. One commits while another decodes, and with Python's own
5 ms each of the commit's statements would wait that long for its turn."""
COLLECTED_AFTER = (10_000, 20, 50)
"""So many new objects before Python looks for garbage among them, and so many looks before a longer one. The records of
a batch are gone when it is done with; with Python's own 700 looking took an eighth of the time."""


def made_for_small_frames() -> None:
    """To be called before polars is imported, which reads it then.

    What a batch or a page has it reckon with are some thousand rows, of which no part is worth another thread: sharing
    them out takes processor time, and while other processes are busy a page waits for that thread's turn as well. With
    one thread the pages of products took a fifth less processor time, and half of the time where both cores were taken.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", "1")


def made_for_batches() -> None:
    sys.setswitchinterval(TURN_S)
    gc.set_threshold(*COLLECTED_AFTER)


def made_for_requests() -> None:
    """To be called when everything is built that lasts as long as the process.

    A page makes a hundred thousand objects and drops them again. Each time that Python looked for garbage among them it
    also looked at all that was ever imported, which doubled what a large page took.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
