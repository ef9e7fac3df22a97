"""The processes that need no commerce API: what they begin with. The others are in __main__.py.

Each imports what it runs only when it runs, so that `--help` is quick.
"""

from __future__ import annotations

from .options import Data, run_process
from .settings import read_settings


def relay(data: Data = None) -> None:
    """Bring the outbox to the log."""
    from .commands.relay import run_relay
    from .databases import commerce_database
    from .loop_turns import LoopTurns

    (settings, turns) = (read_settings(data), LoopTurns())
    database = commerce_database(settings)
    run_process("relay", settings, lambda stop: run_relay(settings, stop, turns), [database], turns.new_loop)


def consumer(data: Data = None) -> None:
    """Count the log into the figures."""
    from .commands.consumer import run_consumer
    from .databases import backoffice_database
    from .loop_turns import LoopTurns

    (settings, turns) = (read_settings(data), LoopTurns())
    database = backoffice_database(settings)
    run_process("consumer", settings, lambda stop: run_consumer(settings, stop, turns), [database], turns.new_loop)


def archiver(data: Data = None) -> None:
    """Keep the log as Parquet, for rebuilds."""
    from .commands.archiver import run_archiver
    from .loop_turns import LoopTurns

    (settings, turns) = (read_settings(data), LoopTurns())
    run_process("archiver", settings, lambda stop: run_archiver(settings, stop, turns), [], turns.new_loop)


def dashboard(data: Data = None) -> None:
    """Show the figures and the pipeline as pages and as JSON."""
    from .commands.dashboard import run_dashboard
    from .databases import databases_of_dashboard
    from .serve import fast_loop

    settings = read_settings(data)
    databases = databases_of_dashboard(settings)
    run_process("dashboard", settings, lambda stop: run_dashboard(settings, stop), databases, fast_loop)


COMMANDS = (relay, consumer, archiver, dashboard)
