"""Threads a second beside what people use: ``python benchmarks/throughput.py [THREADS.jsonl]``.

The peer is a bert-base of random weights (speed does not depend on them) in a transformers
``pipeline``, called one by one and in batches of 32; the faster way counts. Both sides get the
same threads on the same single core, by turns of a second or so, since other users of a machine
make it slower and faster by a fifth from one minute to the next; five runs, the ratio is the
median of the runs' ratios. Latency is that of one ``classify_thread`` call. Without a file, the
threads are those of the bundled test split. Needs ``intimacy[train]``.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import intimacy
from intimacy import corpus, store

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5
PEER, TURN, TIMES = 48, 4, 16
"""Threads of a run, how many of them are read in a turn, and how often ours reads them then: the
peer is slow."""
LIST = 400
CALLS = 2_000


def threads() -> list[intimacy.Thread]:
    if len(sys.argv) > 1:
        found = list(store.read_jsonl(Path(sys.argv[1]), store.thread_from_dict))
    else:
        items = corpus.load_corpus(corpus.bundled_corpus() / "test.jsonl")
        found = [item.thread for item in items]
    random.Random(0).shuffle(found)
    return (found * (LIST // len(found) + 1))[:LIST]


def peer() -> Callable[..., Any]:
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, pipeline

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "models" / "encoder-it")
    model = BertForSequenceClassification(BertConfig(num_labels=4)).eval()
    return pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


def flat(thread: intimacy.Thread) -> str:
    return "\n".join([thread.post.text or "", *(turn.text for turn in thread.turns)])


def rate(n: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return n / (time.perf_counter() - started)


def by_turns(
    items: list[intimacy.Thread],
    ours: Callable[[list[intimacy.Thread]], object],
    theirs: Callable[[list[intimacy.Thread]], object],
) -> tuple[float, float]:
    """Threads a second of both, a few threads each in turn."""
    mine = peers = 0.0
    for start in range(0, len(items), TURN):
        some = items[start : start + TURN]
        mine += TIMES * len(some) / rate(TIMES * len(some), partial(ours, some))
        peers += len(some) / rate(len(some), partial(theirs, some))
    return TIMES * len(items) / mine, len(items) / peers


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    items = threads()
    texts = [flat(thread) for thread in items[:PEER]]
    classify = peer()
    cut = {"truncation": True, "max_length": 256}
    intimacy.classify_threads(items[:20], progress=False)
    classify(texts[:2], **cut)
    ratios = []
    print("threads/s on one core   ours  bert-base one by one  in batches of 32  ratio")
    for run in range(RUNS):
        ours, single = by_turns(
            items[:PEER],
            lambda some: intimacy.classify_threads(some * TIMES, progress=False),
            lambda some: [classify(flat(thread), **cut) for thread in some],
        )
        batched = rate(PEER, lambda: classify(texts, batch_size=32, **cut))
        ratios.append(ours / max(single, batched))
        print(
            f"run {run + 1} {ours:22.1f}{single:22.2f}{batched:18.2f}{ratios[-1]:7.1f}", flush=True
        )
    print(f"ratio: median {statistics.median(ratios):.1f}, least {min(ratios):.1f}")
    calls = []
    for item in (items * (CALLS // len(items) + 1))[:CALLS]:
        started = time.perf_counter()
        intimacy.classify_thread(item)
        calls.append(1e3 * (time.perf_counter() - started))
    p50, p99 = statistics.quantiles(calls, n=100)[49], statistics.quantiles(calls, n=100)[98]
    print(f"one thread: p50 {p50:.1f} ms, p99 {p99:.1f} ms over {CALLS} calls on one core")
    os.sched_setaffinity(0, cores)
    whole = rate(LIST, lambda: intimacy.classify_threads(items, progress=False))
    print(f"as a list: {whole:.0f} threads/s on {len(cores)} cores")


if __name__ == "__main__":
    main()
