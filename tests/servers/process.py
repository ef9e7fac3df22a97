"""The end of a server's process, which comes with the end of the tests'."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from signal import Signals
from typing import Any

STOP_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1


def ends_with_parent(how: Signals) -> Callable[[], Any] | None:
    """For `preexec_fn`: a test run that is killed can't stop its servers; on Linux the kernel does it then.

    The thread that starts the process counts as the parent, so start servers from one that lasts.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, how)


def end(process: subprocess.Popen[bytes], how: Signals, otherwise: Signals) -> None:
    """Ends it by `how`, and by `otherwise` what doesn't end in time."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(otherwise)
        process.wait(STOP_TIMEOUT_S)
