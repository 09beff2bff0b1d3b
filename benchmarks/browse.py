"""CPU time of the server for each page of a store: of ten requests the median and the least, DuckDB's threads counted.
Each time the page is made anew, as if the store had just been written.

python benchmarks/scale.py --features 200000 --store scale.duckdb --phase write     # 100,000 features a dictionary
python benchmarks/browse.py scale.duckdb / /dictionary/first "/dictionary/first?sort=score" /feature/first/5000
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from unittest.mock import patch

from starlette.testclient import TestClient

from autointerp.browse.app import make_app
from autointerp.browse.kept_pages import KeptPages

TIMES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("address", nargs="+")
    asked = parser.parse_args()
    client = TestClient(make_app(asked.store, 8377), base_url="http://127.0.0.1:8377")
    for address in asked.address:
        seconds, size = [], 0
        for _ in range(TIMES + 1):  # the first compiles the template
            begun = time.process_time()
            with patch.object(KeptPages, "find", return_value=None):
                answer = client.get(address)
            seconds.append(time.process_time() - begun)
            answer.raise_for_status()
            size = len(answer.content)
        median, least = statistics.median(seconds[1:]), min(seconds[1:])
        print(
            f"{address}: median {1000 * median:.0f} ms, least {1000 * least:.0f} ms of CPU time, {size / 1000:.0f} kB"
        )


if __name__ == "__main__":
    main()
