"""How long it takes before anything happens: ``python benchmarks/startup.py``.

Wall time of fresh processes, after one to warm the disk; the median of fifteen.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

CASES = {
    "python (nothing)": ["-c", "pass"],
    "import intimacy": ["-c", "import intimacy"],
    "intimacy --help": ["-m", "intimacy", "--help"],
    "first classify_thread": [
        "-c",
        "import intimacy; intimacy.classify_thread([('follower', 'ciao')])",
    ],
}
BOUNDS = {"import intimacy": 0.3, "intimacy --help": 0.2}


def median_seconds(arguments: list[str], rounds: int = 15) -> float:
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> int:
    late = []
    print(f"{'':24}{'seconds':>8}{'bound':>8}")
    for name, arguments in CASES.items():
        seconds = median_seconds(arguments)
        bound = BOUNDS.get(name)
        print(f"{name:24}{seconds:8.3f}{'' if bound is None else f'{bound:8.2f}'}")
        if bound is not None and seconds > bound:
            late.append(name)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
