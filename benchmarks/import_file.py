"""How long an invoice file takes through the HTTP API to the last figure, all processes on this machine.

python -m benchmarks.import_file FILE
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from .running_shop import RunningShop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RunningShop(Path(folder)) as shop:
        begun_s = time.perf_counter()
        account = shop.run("import", "online-retail", str(asked.file), "--api", shop.api_url)
        sent_s = time.perf_counter() - begun_s
        shop.run("drain", "--timeout", "300")
        print(account.strip())
        print(f"sent in {sent_s:.1f} s; counted to the last figure after {time.perf_counter() - begun_s:.1f} s")


if __name__ == "__main__":
    main()
