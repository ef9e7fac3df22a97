"""`python -m tests.simulation SEED` lives one run again and shows its course; several, or FIRST-LAST, only fail."""

from __future__ import annotations

import sys

from .world import simulate


def main(arguments: list[str]) -> None:
    seeds = [seed for argument in arguments for seed in _seeds(argument)]
    for seed in seeds:
        result = simulate(seed)
        if len(seeds) == 1:
            print("\n".join(result.trace))  # noqa: T201
            print("\n".join(f"{number:6} {what}" for what, number in sorted(result.tally.items())))  # noqa: T201
        print(f"seed {seed}: every law held ({result.digest[:16]})")  # noqa: T201


def _seeds(text: str) -> range:
    (first, _, last) = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    main(sys.argv[1:])
