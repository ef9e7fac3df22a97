"""What a command opens from the settings: each store once, at its first use, and all closed at the end.

async with Stores(settings) as stores:
    status = await stores.pipeline().status()
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from event_store.codec import Codec
from event_store.connect import file_of, open_leases, open_log, open_outbox, open_pauses, open_topic_admin
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.kafka_options import ONE_BROKER, KafkaOptions
from event_store.lease import Leases
from event_store.log import Log
from event_store.outbox import Outbox
from event_store.pause_watch import PauseObserver, PauseWatch
from event_store.pauses import Part, Pauses
from event_store.topic_plan import TopicAdmin
from event_store.topics import PARTITIONS

from .kafka_settings import kafka_options
from .pause_report import PauseReport
from .settings import Settings

if TYPE_CHECKING:
    from event_store.history import History
    from projections.projector import Projector
    from projections.read_model import ReadModel

    from .guarded_cache import CacheObserver, GuardedCache
    from .pipeline import Pipeline

T = TypeVar("T")


class Stores:
    def __init__(self, settings: Settings, crash_points: CrashPoints = NO_CRASH, *, notes_traces: bool = False) -> None:
        self.settings = settings
        self.crash_points = crash_points
        self.codec = Codec(notes_traces=notes_traces, is_compiled=settings.compiled)
        self._open: dict[str, Any] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    def outbox(self) -> Outbox:
        """With its lanes: any process may be the first to open it."""
        return self._once("outbox", lambda: open_outbox(self.settings.commerce_db_url, PARTITIONS, self.crash_points))

    def log(self) -> Log:
        return self._once("log", lambda: open_log(self.settings.log_url, self.crash_points, self._kafka()))

    def topic_admin(self) -> TopicAdmin:
        return self._once("topics", lambda: open_topic_admin(self.settings.log_url, self.log, self._kafka()))

    def read_model(self) -> ReadModel:
        from projections.connect import open_read_model

        return self._once("read model", lambda: open_read_model(self.settings.backoffice_db_url, self.crash_points))

    def leases(self) -> Leases:
        """Of the back-office database: partitions, and the one rebuild at a time."""
        return self._once("leases", lambda: open_leases(self.settings.backoffice_db_url))

    def pauses(self, part: Part) -> Pauses:
        """Those of the database that the part works with."""
        settings = self.settings
        url = settings.commerce_db_url if part is Part.RELAY else settings.backoffice_db_url
        return Pauses(self._once(f"pauses of the {part}", lambda: open_pauses(url)))

    def pause_watch(self, part: Part, observer: PauseObserver | None = None) -> PauseWatch:
        """What it hears is logged where no `observer` is given."""
        return PauseWatch(partial(self.pauses(part).paused, part), observer or PauseReport(part))

    def history(self) -> History:
        from event_store.archive import Archive
        from event_store.history import History

        archive = Archive(Path(self.settings.archive_url), self.codec, self.crash_points)
        return History(self.log(), archive, self.codec)

    def cache(self, observer: CacheObserver) -> GuardedCache:
        from .connect import open_cache
        from .guarded_cache import GuardedCache

        return self._once("cache", lambda: GuardedCache(open_cache(self.settings.cache_url), observer))

    def pipeline(self, cache: GuardedCache | None = None) -> Pipeline:
        """Its status names the cache, where there is one."""
        from .pipeline import Pipeline

        pauses = {part: self.pauses(part) for part in Part}
        return Pipeline(self.outbox(), self.log(), self.read_model(), self.leases(), cache, pauses)

    def projector(
        self, generation: int, *, serving: bool, took: Callable[[str, float], None] = lambda phase, seconds: None
    ) -> Projector:
        """A building generation takes any number of dead letters: they are compared with the serving one's."""
        from projections.catalogue import PROJECTIONS
        from projections.projector import Projector

        return Projector(
            self.read_model(),
            generation,
            serving,
            PROJECTIONS,
            self.codec,
            crash_points=self.crash_points,
            dead_letter_limit=self.settings.dead_letter_limit if serving else None,
            took=took,
        )

    @property
    def log_is_served(self) -> bool:
        """Whether a server keeps the log, and somebody looks after its topics."""
        return file_of(self.settings.log_url) is None

    def _kafka(self) -> KafkaOptions:
        return kafka_options(self.settings) if self.log_is_served else ONE_BROKER

    def _once(self, name: str, open_it: Callable[[], T]) -> T:
        if name not in self._open:
            store: Any = open_it()
            self._closing.push_async_callback(store.close)
            self._open[name] = store
        found: T = self._open[name]
        return found
