"""The Italian tokenizer: byte-level BPE that nothing can put out of vocabulary.

Text is composed (NFC), lower-cased, freed of emoji variation selectors, and elongations are
cut ("bellissimaaaa" reads as "bellissima", "hmmmm" as "hmm"). Each emoji is a piece of its
own. Roles are single special tokens; `intimacy.render` inserts them by id, so a comment
that spells ``[CRE]`` stays plain text.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from intimacy.render import SPECIAL_TOKENS
from intimacy.training import corpora
from intimacy.training.config import TokenizerConfig
from intimacy.training.progress import Progress

_WORDS = (
    r"\s?\p{Extended_Pictographic}"
    r"|\s?\p{L}[\p{L}\p{M}]*['’]?"
    r"|\s?\p{N}{1,3}"
    r"|\s?[^\s\p{L}\p{N}\p{Extended_Pictographic}]+"
    r"|\s+"
)


def blank() -> Tokenizer:
    """An untrained tokenizer with the library's rules."""
    tokenizer = Tokenizer(models.BPE())
    vowels = [normalizers.Replace(Regex(f"{v}{{3,}}"), v) for v in "aeiou"]
    consonants = [normalizers.Replace(Regex(f"{c}{{3,}}"), c * 2) for c in "bcdfghjklmnpqrstvwxyz"]
    runs = [normalizers.Replace(Regex(rf"\{mark}{{4,}}"), mark * 3) for mark in "!?."]
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[\ufe0e\ufe0f]"), ""),
            *vowels,
            *consonants,
            *runs,
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _texts(folder: Path, config: TokenizerConfig, tiers: tuple[str, ...]) -> Iterator[str]:
    rng = random.Random(0)
    for group, text in corpora.Reader(folder, tiers).texts():
        if group == "social":
            yield from itertools.repeat(text, config.social_repeats)
        elif rng.random() < config.rest:
            yield text


def train(folder: Path, config: TokenizerConfig, tiers: tuple[str, ...]) -> Tokenizer:
    """Learn the pieces from a corpora folder. Deterministic."""
    tokenizer = blank()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with Progress("tokenizer", unit="text") as bar:
        tokenizer.train_from_iterator(bar.over(_texts(folder, config, tiers)), trainer)
    return tokenizer


def ids(tokenizer: Tokenizer, *pieces: str) -> list[int]:
    """Numbers of pieces that the tokenizer is known to have."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[piece] for piece in pieces]
