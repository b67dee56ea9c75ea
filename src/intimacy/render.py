"""A thread becomes what the model reads: role tags, caption, turns in order, within a budget.

``[CLS] [CAP] caption [FOL] turn [CRE] turn … [SEP]``. Tags are inserted by id, never spelled
out in text, so a comment that contains ``[CRE]`` cannot pose as the creator. Handles, links,
mails and phone numbers are masked again, which changes nothing in threads already masked. What
does not fit is counted, never lost silently: the root and the latest creator turn always stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from intimacy import text as texts
from intimacy.errors import BundleError
from intimacy.prediction import CAPTION
from intimacy.schema import Role, Thread

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[CAP]", "[FOL]", "[CRE]", "[STA]")
"""The first ids of every tokenizer that the library makes, in this order."""

PAD, CLS, SEP = (SPECIAL_TOKENS.index(t) for t in ("[PAD]", "[CLS]", "[SEP]"))
SEGMENTS = ("none", "caption", "follower", "creator", "staff")
"""What a token belongs to; index 0 is padding and the frame."""
TAGS = {s: f"[{s[:3].upper()}]" for s in SEGMENTS[1:]}
"""Segment → the token that opens it; encoders from elsewhere are taught them."""
_ENDS = (("[CLS]", "[SEP]"), ("<s>", "</s>"))
"""How tokenizers spell the two ends of a text: as BERT does, or as RoBERTa does."""

FRAME = -2
"""Index that stands for tokens which are no text: the role tags and both ends."""

# No tokenizer piece is longer on average; a turn of a megabyte is cut before it is tokenized.
_CHARS_PER_TOKEN = 24


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Token budget of a thread."""

    max_tokens: int = 256
    max_caption: int = 64
    max_turn: int = 96
    """Tokens of one turn, where the whole thread does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """One thread as numbers."""

    ids: npt.NDArray[np.int64] = field(repr=False)
    """Token ids, shape ``(n,)``."""
    segments: npt.NDArray[np.int64] = field(repr=False)
    """Index into `SEGMENTS` of every token, shape ``(n,)``."""
    origins: npt.NDArray[np.int64] = field(repr=False)
    """Turn (or `CAPTION`, or `FRAME`) of every token with its start and end offset in the masked
    text of the turn, shape ``(n, 3)``."""
    turns: tuple[int, ...]
    """Turns the model sees, by index."""
    n_dropped_turns: int = 0
    n_dropped_chars: int = 0
    """Characters cut from turns that are kept, and from the caption."""


class Renderer:
    """Renders threads with one tokenizer and one budget. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer, config: RenderConfig) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        # Otherwise a comment that spells a special token would become one.
        tokenizer.encode_special_tokens = True
        self._start, self._end, self._tags = _frame(tokenizer)
        self._tokenizer = tokenizer
        self.config = config
        self.limit = (config.max_tokens - 2) * _CHARS_PER_TOKEN
        """Characters of a turn that are looked at."""

    def render(self, thread: Thread) -> ModelInput:
        """The model's view of ``thread``."""
        config = self.config
        caption = thread.post.text or ""
        room = config.max_tokens - 2
        chosen = self._candidates(thread, room)
        sources = [(CAPTION, caption)] if caption.strip() else []
        sources += [(i, thread.turns[i].text) for i in chosen]
        pieces = self._encode(sources)
        kept = self._fit(thread, pieces, room)
        ids, segments, cut = [self._start], [0], 0
        origins = [_NOWHERE]
        for index in sorted(kept):
            name = "caption" if index == CAPTION else str(thread.turns[index].role)
            encoded, length = pieces[index], kept[index]
            ids += [self._tags[name], *encoded.ids[:length]]
            segments += [SEGMENTS.index(name)] * (length + 1)
            origins += [_NOWHERE, *((index, *span) for span in encoded.spans[:length])]
            cut += encoded.n_chars - encoded.end_of(length)
        ids.append(self._end)
        segments.append(0)
        origins.append(_NOWHERE)
        turns = tuple(i for i in sorted(kept) if i != CAPTION)
        return ModelInput(
            ids=np.asarray(ids, dtype=np.int64),
            segments=np.asarray(segments, dtype=np.int64),
            origins=np.asarray(origins, dtype=np.int64),
            turns=turns,
            n_dropped_turns=sum(1 for i in _filled(thread) if i not in kept),
            n_dropped_chars=cut,
        )

    def _candidates(self, thread: Thread, room: int) -> list[int]:
        """Turns by importance, no more than could fit: root, latest creator, creators, rest."""
        filled = list(_filled(thread))
        creators = [i for i in reversed(filled) if thread.turns[i].role is Role.CREATOR]
        ordered = dict.fromkeys([*filled[:1], *creators, *filled])
        # Every turn costs at least its tag and one token.
        return list(ordered)[: room // 2 + 1]

    def _encode(self, sources: Sequence[tuple[int, str]]) -> dict[int, _Piece]:
        limit = self.limit
        bodies = [masked(body, limit) for _, body in sources]
        # One call for the thread, without the batch pool of the library, which a fork would break.
        encoding = self._tokenizer.encode(bodies, is_pretokenized=True, add_special_tokens=False)
        return {
            index: piece
            for (index, _), piece in zip(
                sources,
                _split(encoding, bodies, [max(0, len(b) - limit) for _, b in sources]),
                strict=True,
            )
        }

    def _fit(self, thread: Thread, pieces: dict[int, _Piece], room: int) -> dict[int, int]:
        """Tokens kept of each piece, by index, within ``room``."""
        config = self.config
        caption = pieces.get(CAPTION)
        kept: dict[int, int] = {}
        if caption is not None:
            kept[CAPTION] = min(len(caption.ids), config.max_caption, room // 4)
            room -= kept[CAPTION] + 1
        turns = [i for i in pieces if i != CAPTION]
        whole = sum(len(pieces[i].ids) + 1 for i in turns)
        if whole <= room and len(turns) == sum(1 for _ in _filled(thread)):
            return kept | {i: len(pieces[i].ids) for i in turns}
        # The two that must stay share the room if they are long.
        cap = min(config.max_turn, max(1, room // 2 - 1))
        for index in turns:
            length = min(len(pieces[index].ids), cap)
            if length + 1 > room:
                break
            kept[index] = length
            room -= length + 1
        for index in turns:
            if index in kept:
                more = min(len(pieces[index].ids) - kept[index], room)
                kept[index] += more
                room -= more
        return kept


def _frame(tokenizer: Tokenizer) -> tuple[int, int, dict[str, int]]:
    """Ids of both ends, and of the tag of every segment.

    Raises:
        BundleError: When the tokenizer has no such tokens.
    """
    ends = [tuple(map(tokenizer.token_to_id, pair)) for pair in _ENDS]
    start, end = next((pair for pair in ends if None not in pair), (None, None))
    found = {name: tokenizer.token_to_id(token) for name, token in TAGS.items()}
    tags = {name: at for name, at in found.items() if at is not None}
    missing = [TAGS[name] for name in found if name not in tags]
    if start is None or end is None or missing:
        raise BundleError(
            f"the tokenizer lacks {', '.join(missing) or 'the ends of a text'}; expected "
            f"{' and '.join(_ENDS[0])} or {' and '.join(_ENDS[1])}, and a token for every role "
            f"({', '.join(TAGS.values())}); 'intimacy train' adds these to any encoder"
        )
    return start, end, tags


def masked(text: str, limit: int) -> str:
    """What of a text is tokenized, see `intimacy.text.masked_offsets` for where it comes from."""
    return texts.mask_pii(texts.clean(text[:limit]))


_NOWHERE = (FRAME, 0, 0)


@dataclass(frozen=True, slots=True)
class _Piece:
    ids: list[int]
    spans: list[tuple[int, int]]
    """Where each token starts and ends in the masked text."""
    n_read: int
    """Characters of the masked text."""
    n_chars: int
    """The same, and of what was cut before it was tokenized."""

    def end_of(self, length: int) -> int:
        if length >= len(self.ids) and not self.ids:
            return self.n_chars
        # Trailing blanks belong to no token and are not lost.
        whole = length == len(self.ids)
        return self.n_read if whole else self.spans[length - 1][1] if length else 0


def _split(encoding: Encoding, bodies: list[str], unread: list[int]) -> list[_Piece]:
    ids: list[list[int]] = [[] for _ in bodies]
    spans: list[list[tuple[int, int]]] = [[] for _ in bodies]
    for token, word, span in zip(encoding.ids, encoding.word_ids, encoding.offsets, strict=True):
        assert word is not None, "pre-tokenized input gives every token its word"
        ids[word].append(token)
        spans[word].append(span)
    return [
        _Piece(tokens, where, len(body), len(body) + rest)
        for tokens, where, body, rest in zip(ids, spans, bodies, unread, strict=True)
    ]


def _filled(thread: Thread) -> list[int]:
    """Turns with text; deleted comments keep their place in the thread, not in the input."""
    return [i for i, turn in enumerate(thread.turns) if turn.text.strip()]
