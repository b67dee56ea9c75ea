"""Threads a second of the bundled model: ``python benchmarks/throughput.py [THREADS.jsonl]``.

Without a file, the threads of the example export many times over. One core first (calls one by
one, which is also the latency of a service), then lists on all cores.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

import intimacy
from intimacy import store

ROOT = Path(__file__).resolve().parents[1]
N = 3_000


def threads() -> list[intimacy.Thread]:
    if len(sys.argv) > 1:
        found = list(store.read_jsonl(Path(sys.argv[1]), store.thread_from_dict))
    else:
        exports = sorted((ROOT / "data" / "examples").glob("*.info.json"))
        found = [t for path in exports for t in intimacy.read_export(path, key="benchmark" * 2)[0]]
    return (found * (N // len(found) + 1))[:N]


def main() -> None:
    items = threads()
    intimacy.classify_threads(items[:50])
    calls = []
    for item in items[:1_000]:
        started = time.perf_counter()
        intimacy.classify_thread(item)
        calls.append(time.perf_counter() - started)
    calls.sort()
    started = time.perf_counter()
    intimacy.classify_threads(items, progress=False)
    listed = len(items) / (time.perf_counter() - started)
    print(f"one by one   {1 / statistics.mean(calls):8.0f} threads/s on one core")
    print(f"             p50 {1e3 * calls[500]:.2f} ms, p99 {1e3 * calls[990]:.2f} ms")
    print(f"as a list    {listed:8.0f} threads/s on {len(os.sched_getaffinity(0))} cores")


if __name__ == "__main__":
    main()
