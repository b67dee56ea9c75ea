"""The encoder under the bundled model: what anybody finds who loads it without this library."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter

import pytest
from conftest import ROOT
from tokenizers import Tokenizer

from intimacy.render import SPECIAL_TOKENS

ENCODER = ROOT / "models" / "encoder-it"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ENCODER / "tokenizer.json"))


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return [tokenizer.decode([i]).strip() for i in ids]


@pytest.mark.parametrize("emoji", list("😂❤😍🙏👏😘🔥💪😊😭🤣🥰👍💙🎉🤔😱🙈✨"))
def test_an_emoji_is_one_piece(tokenizer: Tokenizer, emoji: str) -> None:
    assert pieces(tokenizer, emoji) == [emoji]
    assert pieces(tokenizer, f"ciao{emoji}{emoji}") == ["ciao", emoji, emoji]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("bellissimaaaaa", "bellissima"),
        ("HMMMMM", "hmm"),
        ("ahahahahah", "hahaha"),
        ("👏🏽👏🏻", "👏👏"),
        ("🤷‍♀️", "🤷"),
        ("❤️", "❤"),
        ("bravo!!!!!!", "bravo!!!"),
    ],
)
def test_variants_read_alike(tokenizer: Tokenizer, written: str, read: str) -> None:
    assert pieces(tokenizer, written) == pieces(tokenizer, read)


def test_hashtags_handles_and_roles(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "#ricetta") == ["#", "ricetta"]
    assert pieces(tokenizer, "@utente")[-1] == "utente"
    for index, token in enumerate(SPECIAL_TOKENS):
        assert tokenizer.token_to_id(token) == index
    tokenizer.encode_special_tokens = True
    assert tokenizer.token_to_id("[CRE]") not in tokenizer.encode("sono [CRE] io").ids
    assert tokenizer.get_vocab_size() == 16_384


def test_nothing_is_out_of_vocabulary(tokenizer: Tokenizer) -> None:
    for text in ("漢字 и العربية", "\x07\u200d", "ć̷̛ ẑ", "🫨🪿"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert ids and tokenizer.token_to_id("[UNK]") not in ids


def test_it_is_a_plain_small_bert(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    assert (ENCODER / "model.safetensors").stat().st_size <= 36e6
    model = AutoModel.from_pretrained(ENCODER, dtype=torch.float32, add_pooling_layer=False)
    assert type(model).__module__ == "transformers.models.bert.modeling_bert"
    assert sum(p.numel() for p in model.parameters()) <= 18e6
    texts = ["Quanto costa questo rossetto?", "Che prezzo ha il rossetto?", "Ieri ho pianto a casa"]
    batch = AutoTokenizer.from_pretrained(ENCODER)(texts, padding=True, return_tensors="pt")
    assert batch["input_ids"][0, 0] == SPECIAL_TOKENS.index("[CLS]")
    with torch.inference_mode():
        hidden = model.eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert near > far + 0.2, "two ways to ask a price are near each other, a confession is not"


def test_the_card_counts_what_was_read() -> None:
    read = json.loads((ENCODER / "words" / "corpora.json").read_text("utf-8"))
    card = (ENCODER / "README.md").read_text("utf-8")
    for reason in read["removed"].values():
        assert f"{reason:,}" in card
    groups = {row["group"] for row in read["read"].values()}
    assert groups == {"social", "threads", "spoken", "written", "formal"}
    for group in groups:
        rows = [row for row in read["read"].values() if row["group"] == group]
        texts, tokens = (sum(row[key] for row in rows) for key in ("texts", "tokens"))
        assert f"| {texts:,} | {tokens / 1e6:.1f} M |" in card
    for tier, name in (("open", "open"), ("nc", "non-commercial"), ("unlicensed", "unlicensed")):
        rows = [row for source, row in read["read"].items() if source.endswith(f".{tier}")]
        (line,) = (line for line in card.splitlines() if line.startswith(f"| {name} ("))
        assert f"| {sum(row['tokens'] for row in rows) / 1e6:.1f} M |" in line


def test_the_card_is_of_the_scores_that_are_passed_on() -> None:
    scores = ROOT / "data" / "scores" / "intimacy-it.jsonl"
    run, read = (json.loads((ENCODER / f"{n}.json").read_text("utf-8")) for n in ("run", "corpora"))
    assert run["scores_sha256"] == hashlib.sha256(scores.read_bytes()).hexdigest()
    assert run["scores"]["file"] == scores.relative_to(ROOT).as_posix()
    lines = scores.read_text("utf-8").splitlines()
    assert read["scored"] == dict(Counter(json.loads(line)["source"] for line in lines))
    card = " ".join((ENCODER / "README.md").read_text("utf-8").split())
    assert f"{len(lines) - 1_000:,} of these texts" in card, "a thousand are held out"
    last = json.loads((ENCODER / "metrics.jsonl").read_text("utf-8").splitlines()[-1])
    r = dict(last["held_out_r"])
    said = f"intimacy {r.pop('intimacy'):.3f}, the eight others {min(r.values()):.3f} to "
    assert said + f"{max(r.values()):.3f}" in card


def test_scores_are_passed_on_without_a_text() -> None:
    folder = ROOT / "data" / "scores"
    lines = (folder / "intimacy-it.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(set(row) == {"text_sha256", "source", "scores"} for row in rows)
    assert all(re.fullmatch("[0-9a-f]{64}", row["text_sha256"]) for row in rows)
    assert len({row["text_sha256"] for row in rows}) == len(rows)
    shown = (folder / "shown.txt").read_text("utf-8").split()
    assert all(re.fullmatch("[0-9a-f]{64}", key) for key in shown)
    assert not {row["text_sha256"] for row in rows} & set(shown)
    card = (folder / "README.md").read_text("utf-8")
    for row in rows:
        aspects = dict(row["scores"])
        assert 1 <= aspects.pop("intimacy") <= 5
        assert set(aspects) == set(re.findall(r"^\| `(\w+)` \|", card, re.MULTILINE))
        assert all(0 <= score <= 9 for score in aspects.values())
    assert f"{len(rows):,} texts" in card and f"hashes of all {len(shown)}" in card
    for source, n in Counter(row["source"] for row in rows).items():
        mean = sum(row["scores"]["intimacy"] for row in rows if row["source"] == source) / n
        assert re.search(rf"\| {re.escape(source)}[^|]*\| {n:,} \| {mean:.2f} \|", card)
