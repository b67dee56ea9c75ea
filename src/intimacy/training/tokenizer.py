"""The Italian tokenizer: byte-level BPE that nothing can put out of vocabulary.

Text is composed (NFC), lower-cased, freed of what only varies an emoji (presentation, skin tone,
gender), and elongations are cut ("bellissimaaaa" reads as "bellissima", "hmmmm" as "hmm",
"hahahaha" as "ahah"). Every emoji of the corpora is one piece; a hashtag is its sign and the
pieces of its words. Roles are single special tokens; `intimacy.render` inserts them by id, so a
comment that spells ``[CRE]`` stays plain text.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from intimacy import text as rules
from intimacy.render import CLS, SEP, SPECIAL_TOKENS
from intimacy.training import corpora
from intimacy.training.config import TokenizerConfig
from intimacy.training.progress import Progress

_EMOJI_WEIGHT = 1_000
"""How often a known emoji is counted at least: more than the rarest pair that makes a piece."""
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
            # The sign of a gendered emoji hangs on a joiner; other joined emoji stay joined.
            normalizers.Replace(Regex("\u200d[♀♂]"), ""),
            normalizers.Replace(Regex("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"), ""),
            normalizers.Replace(Regex("a?(?:ha){3,}h?"), "ahah"),
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
    # For whoever loads the encoder by itself; `intimacy.render` frames threads in its own way.
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:0 [SEP]:0",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


def texts(folder: Path, config: TokenizerConfig, tiers: tuple[str, ...]) -> Iterator[str]:
    """What a tokenizer learns from: the corpora in their proportions, then each emoji they have."""
    rng = random.Random(0)
    emoji: set[str] = set()
    for found in corpora.Reader(folder, tiers).texts():
        text = " ".join(found.turns)
        emoji.update(filter(rules.has_emoji, text))
        if found.group == "social":
            yield from itertools.repeat(text, config.social_repeats)
        elif rng.random() < config.rest:
            yield text
    for character in sorted(emoji):
        yield " ".join([character] * _EMOJI_WEIGHT)


def train(folder: Path, config: TokenizerConfig, tiers: tuple[str, ...]) -> Tokenizer:
    """Learn the pieces from a corpora folder. Deterministic."""
    with Progress("tokenizer", unit="text") as bar:
        return learn(bar.over(texts(folder, config, tiers)), config)


def learn(read: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Learn the pieces from texts. Deterministic."""
    tokenizer = blank()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(read, trainer)
    return tokenizer


def ids(tokenizer: Tokenizer, *pieces: str) -> list[int]:
    """Numbers of pieces that the tokenizer is known to have."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[piece] for piece in pieces]
