"""The progress of `countinghouse import`: a bar for eyes, nothing where nobody looks."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Step(Protocol):
    """How far an import is."""

    @property
    def phase(self) -> str: ...

    @property
    def done(self) -> int: ...

    @property
    def total(self) -> int: ...

    @property
    def failed(self) -> int: ...

    @property
    def repeats(self) -> int: ...


class ImportProgress:
    """Shows each phase as a bar of its own while the block runs."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, step: Step) -> None:
        if step.phase not in self._tasks:
            self._tasks[step.phase] = self._bars.add_task(step.phase, total=None, remark="")
        remark = ", ".join(
            text
            for text in (step.failed and f"{step.failed} refused", step.repeats and f"{step.repeats} repeated")
            if text
        )
        self._bars.update(self._tasks[step.phase], completed=step.done, total=step.total or None, remark=remark)
