"""Peak memory of one epoch of a large corpus: threads on disk beside threads in a list.

    python benchmarks/large_corpus.py --threads 200000 --way disk
    python benchmarks/large_corpus.py --threads 200000 --way list --share 0

Threads are those of the bundled corpus over and over, each time of other creators. An epoch is
drawn, rendered and put in batches as in training; the network, which is the same for both, is
left out.
"""

from __future__ import annotations

import argparse
import pickle
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import intimacy
from intimacy import corpus
from intimacy.annotation import AnnotatedThread
from intimacy.classifier import load_model
from intimacy.render import Renderer
from intimacy.training import fit
from intimacy.training.config import TrainConfig
from intimacy.training.variation import Variation


def threads(n: int) -> Iterator[AnnotatedThread]:
    """The bundled threads, one after the other and over again."""
    found = intimacy.load_corpus()
    for i in range(n):
        item, round_ = found[i % len(found)], i // len(found)
        persona = f"{item.persona}-{round_}"
        yield replace(item, thread=replace(item.thread, id=str(i)), persona=persona, split=None)


def peak() -> float:
    """Gigabytes that this process has held at most."""
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=200_000)
    parser.add_argument("--way", choices=("disk", "list"), default="disk")
    parser.add_argument("--share", type=float, default=1.0, help="of the epoch, then it stops")
    options = parser.parse_args()
    bundle = load_model().bundle
    renderer = Renderer(bundle.tokenizer(), bundle.manifest.render)
    intimacy.load_corpus()
    start, before = time.process_time(), peak()
    config = TrainConfig()
    if options.way == "disk":
        items = corpus.Corpus(threads(options.threads))
    else:
        # Copies, as they would be read from a file: the originals share their texts.
        items = [pickle.loads(pickle.dumps(item)) for item in threads(options.threads)]
    train = corpus.split(items, dev=0.15, test=0.2, seed=7)["train"]
    loaded = peak()
    chunk = fit.CHUNK if options.way == "disk" else len(train)
    with mock.patch.object(fit, "CHUNK", chunk):
        epoch = fit._epoch(train, Variation(train, config), renderer, config, random.Random(7))
        n = 0
        for done, _, batch in epoch:
            n += len(batch)
            if done > options.share:
                break
    print(
        f"{options.way}: {options.threads} threads, {n} of {len(train)} to train on drawn; "
        f"peak {before:.2f} GB before, {loaded:.2f} GB loaded and split, {peak():.2f} GB then; "
        f"{time.process_time() - start:.0f} s of one core"
    )


if __name__ == "__main__":
    main()
