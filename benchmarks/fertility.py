"""Tokens a word on posts: ``python benchmarks/fertility.py --corpora PATH models/encoder-it``.

The tokenizer of an encoder beside alternatives learnt from the same texts: WordPiece and Unigram
of the same size, byte-level BPE with half as many pieces more, and byte-level BPE that counts
social text once; and the tokenizer of any other model, where ``--other`` names it. Measured on
posts that no tokenizer here has read (the probes), words being what blanks part. Unigram learns
from one text in eight: its trainer does not end within half an hour on all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from intimacy import text as rules
from intimacy.render import SPECIAL_TOKENS
from intimacy.training import corpora
from intimacy.training import tokenizer as ours
from intimacy.training.config import TokenizerConfig

SPECIAL = list(SPECIAL_TOKENS)
UNIGRAM_STRIDE = 8


def wordpiece(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = ours.blank().normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def unigram(texts: Iterable[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = ours.blank().normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def posts(folder: Path) -> list[str]:
    paths = [*sorted((folder / "probes").glob("*.jsonl"))]
    paths += [folder / "social" / f"{name}.jsonl.xz" for name in corpora.EVALUATED]
    return [rules.mask_pii(row["text"]) for path in paths for row in corpora.lines(path)]


def figures(tokenizer: Tokenizer, texts: list[str]) -> dict[str, float]:
    words = sum(len(text.split()) for text in texts)
    rows = tokenizer.encode_batch(texts, add_special_tokens=False)
    emoji = [c for text in texts for c in text if rules.has_emoji(c)]
    whole = tokenizer.encode_batch(emoji, add_special_tokens=False)
    unknown = tokenizer.token_to_id("[UNK]")
    n = sum(len(row.ids) for row in rows)
    return {
        "pieces": tokenizer.get_vocab_size(),
        "tokens_a_word": round(n / words, 3),
        "unknown_share": round(sum(row.ids.count(unknown) for row in rows) / n, 5),
        "emoji_whole_share": round(
            sum(len(row.ids) == 1 and row.ids[0] != unknown for row in whole) / len(whole), 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--other", type=Path, action="append", default=[])
    options = parser.parse_args()
    texts = posts(options.corpora)
    config = TokenizerConfig()

    def show(name: str, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        print(json.dumps({"tokenizer": name} | figures(tokenizer, texts)), flush=True)

    for path in (options.encoder, *options.other):
        show(path.name, AutoTokenizer.from_pretrained(path).backend_tokenizer)
    size = config.vocab_size
    read = list(ours.texts(options.corpora, config, corpora.TIERS))
    show(f"WordPiece {size}", wordpiece(read, size))
    larger = replace(config, vocab_size=size * 3 // 2)
    show(f"BPE {larger.vocab_size}", ours.learn(read, larger))
    some = read[::UNIGRAM_STRIDE]
    del read
    once = replace(config, social_repeats=1)
    show(
        "BPE, social text once", ours.learn(ours.texts(options.corpora, once, corpora.TIERS), once)
    )
    show(f"Unigram {size}, of one text in {UNIGRAM_STRIDE}", unigram(some, size))


if __name__ == "__main__":
    main()
