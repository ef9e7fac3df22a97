"""The product runs in the benchmarks' own processes, so they are made as its processes are."""

from event_store.interpreter import made_for_small_frames

made_for_small_frames()
