"""Corpora on disk, and training on them: the same threads, the same parts, bounded memory."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

import intimacy
from intimacy import corpus, store
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import HEADS
from intimacy.errors import CorpusError, IntimacyWarning, SourceError
from intimacy.shelf import Corpus, spread

pytest.importorskip("torch")
import torch

from intimacy.classifier import load_model
from intimacy.render import Renderer
from intimacy.training import finetune, fit, variation
from intimacy.training.config import TrainConfig
from intimacy.training.variation import Variation

DEV = ROOT / "data" / "threads" / "dev.jsonl"


@pytest.fixture(scope="module")
def items() -> list[AnnotatedThread]:
    return corpus.load_corpus(DEV)


def test_a_corpus_on_disk_is_the_list(items: list[AnnotatedThread], tmp_path: Path) -> None:
    kept = intimacy.open_corpus(DEV, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(kept) == len(items) and list(kept) == items
    assert kept[3] == items[3] and kept[-1] == items[-1]
    assert list(kept[5:1:-2]) == items[5:1:-2] and list(kept.select([4, 2])[:1]) == [items[4]]
    assert repr(kept) == f"Corpus({len(items)} threads on disk)"
    with pytest.raises(IndexError):
        kept[len(items)]
    some = kept[:2]
    del kept
    assert list(some) == items[:2]
    assert list(intimacy.open_corpus(iter(items[:3]))) == items[:3]


def test_it_is_read_and_refused_as_a_list_is(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    store.write_jsonl(path, [])
    with pytest.raises(CorpusError, match="holds no records"):
        intimacy.open_corpus(path)
    with pytest.raises(SourceError, match=r"the threads cannot be kept in .*no: No such file"):
        intimacy.open_corpus(DEV, folder=tmp_path / "no")
    rows = [{"frase": "ciao", "classe": "x"}]
    store.write_jsonl(path, rows)
    names, words = {"text": "frase", "label": "classe"}, {"x": "interactive"}
    (one,) = intimacy.open_corpus(path, columns=names, labels=words)
    assert one == intimacy.load_corpus(rows, columns=names, labels=words)[0]


def test_its_parts_are_those_of_the_list(items: list[AnnotatedThread]) -> None:
    for found in (items, [replace(item, split=None) for item in intimacy.load_corpus()[::7]]):
        if found is items:
            words = ("train", "dev", "test")
            found = [replace(item, split=words[n % 3]) for n, item in enumerate(items)]
        there = corpus.split(Corpus(found), dev=0.2, test=0.2, seed=3)
        here = corpus.split(found, dev=0.2, test=0.2, seed=3)
        assert {name: list(part) for name, part in there.items()} == here
        assert all(isinstance(part, Corpus) for part in there.values())


def test_some_are_from_all_over(items: list[AnnotatedThread]) -> None:
    assert spread(items, len(items)) is items
    assert spread(range(10), 4) == [0, 2, 5, 7]  # type: ignore[arg-type, comparison-overlap]


# -- training on it


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    bundle = load_model().bundle
    return Renderer(bundle.tokenizer(), bundle.manifest.render)


def drawn(
    items: list[AnnotatedThread] | Corpus, renderer: Renderer, seed: int = 0
) -> list[tuple[float, int, list[tuple[str, list[int]]]]]:
    """What one epoch trains on, by id and tokens."""
    config = TrainConfig()
    variation, rng = Variation(items, config), random.Random(seed)
    epoch = fit._epoch(items, [1.0] * len(items), variation, renderer, HEADS, config, rng)
    return [
        (share, n, [(example.item.thread.id, list(inputs.ids)) for example, inputs in batch])
        for share, n, batch in epoch
    ]


def test_up_to_a_chunk_the_batches_are_those_of_one_list(
    items: list[AnnotatedThread], renderer: Renderer
) -> None:
    items, config, rng = items[:120], TrainConfig(), random.Random(0)
    varied = [Variation(items, config).of(item, rng) for item in items]
    inputs = [renderer.render(item.thread) for item in varied]
    batches = fit._shuffled(inputs, config.tokens_per_batch, rng)
    expected = [
        (
            (n + 1) / len(batches),
            len(batches),
            [(items[i].thread.id, list(inputs[i].ids)) for i in b],
        )
        for n, b in enumerate(batches)
    ]
    assert drawn(items, renderer) == expected
    assert drawn(Corpus(items), renderer) == expected


def test_chunks_hold_every_thread_once_and_others_each_time(
    items: list[AnnotatedThread], renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items[:150]
    monkeypatch.setattr(fit, "CHUNK", 40)
    epoch = drawn(items, renderer)
    assert epoch == drawn(Corpus(items), renderer)
    ids = [name for _, _, batch in epoch for name, _ in batch]
    assert sorted(ids) == sorted(item.thread.id for item in items)
    shares = [share for share, _, _ in epoch]
    assert shares == sorted(set(shares)) and shares[-1] == 1
    other = drawn(items, renderer, seed=1)
    assert {name for name, _ in epoch[0][2]} != {name for name, _ in other[0][2]}


def test_captions_and_tokens_of_many_threads_are_a_sample(
    items: list[AnnotatedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig()
    whole = Variation(items, config)
    monkeypatch.setattr(variation, "spread", lambda found: spread(found, 20))
    some = Variation(items, config)
    assert 0 < len(some._captions) <= 20 < len(whole._captions)
    # What the model is told of the shares of the labels is counted, not sampled.
    assert some.label_shares() == whole.label_shares()


def test_what_rests_on_a_sample_is_said(
    items: list[AnnotatedThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "CHUNK", 20)
    monkeypatch.setattr(finetune, "spread", lambda found: spread(found, 20))
    parts = {"train": Corpus(items[:50]), "dev": items[:20], "test": items[:9]}
    with pytest.warns(IntimacyWarning, match="train has 50 threads: the network learns from all"):
        some = finetune._some(parts)
    assert {name: len(part) for name, part in some.items()} == {"train": 20, "dev": 20, "test": 9}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_small_network_learns_in_chunks(
    items: list[AnnotatedThread],
    renderer: Renderer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import BertConfig, BertModel

    from intimacy.bundle import HEADS
    from intimacy.training.model import ThreadModel

    monkeypatch.setattr(fit, "CHUNK", 32)
    config = TrainConfig(epochs=2, lr=1e-3)
    kept, known = Corpus(items[:100]), items[100:130]

    def run() -> float:
        torch.manual_seed(0)
        small = BertConfig(
            vocab_size=load_model().bundle.tokenizer().get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
        network = ThreadModel(BertModel(small, add_pooling_layer=False), HEADS)
        return fit.fit(network, kept, known, renderer, config, tmp_path / "log.jsonl")

    assert run() == run()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*leaks between the parts")
def test_a_model_is_trained_on_parquet_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = load_model().bundle.tokenizer()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "encoder")
    small = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
    )
    BertModel(small).save_pretrained(tmp_path / "encoder")
    (tmp_path / "corpus").mkdir()
    found = [item for item in corpus.load_corpus()[::20] if item.split != "challenge"]
    intimacy.save_corpus(found, tmp_path / "corpus" / "all.parquet")
    n = sum(item.split == "train" for item in found)
    monkeypatch.setattr(fit, "CHUNK", 50)
    monkeypatch.setattr(finetune, "CHUNK", 100)
    monkeypatch.setattr(finetune, "spread", lambda items: spread(items, 100))
    with pytest.warns(IntimacyWarning, match=f"train has {n} threads: the network learns from all"):
        finetune.train(
            tmp_path / "corpus",
            tmp_path / "model",
            encoder=str(tmp_path / "encoder"),
            config=TrainConfig(epochs=1),
            name="m",
            version="1",
        )
    made = load_model(tmp_path / "model").bundle.manifest.training
    assert made["threads"]["train"] == n > 150 and list(made["corpus"]) == ["all.parquet"]


MEASURED = """
import random, re, resource, sys
from array import array
from dataclasses import replace
from pathlib import Path
import intimacy
from intimacy import corpus
from intimacy.bundle import HEADS
from intimacy.classifier import load_model
from intimacy.render import Renderer
from intimacy.training import fit
from intimacy.training.config import TrainConfig
from intimacy.training.variation import Variation

way, n = sys.argv[1], int(sys.argv[2])
bundle, config = load_model().bundle, TrainConfig()
renderer = Renderer(bundle.tokenizer(), bundle.manifest.render)
known = intimacy.load_corpus()

def epoch(items):
    variation, ones = Variation(items, config), array("d", [1.0]) * len(items)
    drawn = fit._epoch(items, ones, variation, renderer, HEADS, config, random.Random(0))
    return sum(len(batch) for _, _, batch in drawn)

def peak():
    # What Linux calls ru_maxrss begins at the size of the process that started this one.
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

threads = (
    replace(known[i % 500], thread=replace(known[i % 500].thread, id=str(i))) for i in range(n)
)
epoch(known[:500])
before = peak()
if way == "disk":
    fit.CHUNK = 1_024
    assert epoch(corpus.Corpus(threads)) == n
else:
    fit.CHUNK = n
    assert epoch(list(threads)) == n
print(peak() - before)
"""


@pytest.mark.slow
def test_an_epoch_of_a_corpus_on_disk_stays_within_its_chunks() -> None:
    def grown(way: str, n: int) -> float:
        """Megabytes that an epoch of ``n`` threads adds to the peak."""
        run = subprocess.run(
            [sys.executable, "-c", MEASURED, way, str(n)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(run.stdout.split()[-1]) / (1e6 if sys.platform == "darwin" else 1e3)

    assert grown("disk", 20_000) < 80
    # A list of fewer of them already breaks that bound.
    assert grown("list", 12_000) > 80
