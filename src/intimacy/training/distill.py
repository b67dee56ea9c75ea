"""`intimacy distill`: an English sentence encoder is carried over into Italian.

The student keeps some layers of the teacher, gets a new Italian tokenizer and new embeddings
(pieces that both vocabularies spell alike copy the old vector), and learns to give an Italian
sentence the vector that the teacher gives to its English translation (Reimers & Gurevych
2020, arXiv:2004.09813).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerFast

from intimacy import store
from intimacy.errors import ConfigError
from intimacy.render import CLS, PAD, SEP
from intimacy.training import config as configs
from intimacy.training import corpora, loop, packing
from intimacy.training import tokenizer as tokenizers_it
from intimacy.training.config import DistillConfig, EncoderConfig, PairsConfig, TokenizerConfig
from intimacy.training.progress import Progress

_TARGETS = "teacher.npy"


def student(
    teacher: Any, teacher_vocab: dict[str, int], tokenizer: Tokenizer, config: EncoderConfig
) -> BertModel:
    """A shallower BERT over the new vocabulary, warm-started from the teacher."""
    source = teacher.config
    if not 0 <= min(config.layers) <= max(config.layers) < source.num_hidden_layers:
        raise ConfigError(
            f"encoder.layers {list(config.layers)} are not all among the teacher's "
            f"{source.num_hidden_layers} layers, counted from 0"
        )
    model = BertModel(
        BertConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=source.hidden_size,
            num_hidden_layers=len(config.layers),
            num_attention_heads=source.num_attention_heads,
            intermediate_size=source.intermediate_size,
            max_position_embeddings=config.max_positions,
            type_vocab_size=1,
            pad_token_id=tokenizer.token_to_id("[PAD]"),
        ),
        add_pooling_layer=False,
    )
    old = teacher.embeddings
    new = model.embeddings
    with torch.no_grad():
        words = old.word_embeddings.weight
        fresh = torch.randn_like(new.word_embeddings.weight) * words.std(0) + words.mean(0)
        for piece, index in tokenizer.get_vocab().items():
            if (twin := _twin(piece, tokenizer)) in teacher_vocab:
                fresh[index] = words[teacher_vocab[twin]]
        new.word_embeddings.weight.copy_(fresh)
        new.position_embeddings.weight.copy_(old.position_embeddings.weight[: config.max_positions])
        new.token_type_embeddings.weight.copy_(old.token_type_embeddings.weight[:1])
        new.LayerNorm.load_state_dict(old.LayerNorm.state_dict())
        for target, index in zip(model.encoder.layer, config.layers, strict=True):
            target.load_state_dict(teacher.encoder.layer[index].state_dict())
    return model


def _twin(piece: str, tokenizer: Tokenizer) -> str:
    """How WordPiece spells a byte-level piece: word starts bare, continuations after ##."""
    text = tokenizer.decoder.decode([piece]) if not piece.startswith("[") else piece
    return text.strip() if text.startswith(" ") or piece.startswith("[") else f"##{text}"


@torch.inference_mode()
def _embed_english(
    name: str, sentences: list[str], max_tokens: int, device: torch.device
) -> np.ndarray:
    """Embeddings of a teacher, (sentences, width) float16, unit length."""
    teacher, tokenizer = AutoModel.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    encoded = tokenizer(sentences, truncation=True, max_length=max_tokens)["input_ids"]
    out = np.zeros((len(sentences), teacher.config.hidden_size), np.float16)
    lengths = np.array([len(ids) for ids in encoded])
    teacher.eval()
    teacher.to(device)
    with Progress("teacher", total=len(sentences), unit="sentence") as bar:
        for batch in loop.cut(lengths, 4096, np.random.default_rng(0)):
            ids, mask = loop.padded([encoded[i] for i in batch], tokenizer.pad_token_id)
            with loop.half_precision(device):
                hidden = teacher(ids.to(device), mask.to(device)).last_hidden_state
            vectors = nn.functional.normalize(
                loop.mean_pool(hidden.float(), mask.to(device)), dim=-1
            )
            out[batch] = vectors.cpu().numpy()
            bar.step(len(batch))
    return out


def distill(
    folder: Path,
    out: Path,
    config: DistillConfig,
    *,
    start: str | Path | None = None,
    device: str = "cpu",
) -> Path:
    """Make an Italian encoder and save it, with its tokenizer, as a transformers folder.

    A run that was killed goes on from its last checkpoint when it is started again with the
    same ``out``.

    Args:
        folder: Corpora, see `intimacy.training.corpora`.
        out: Folder to write; made if missing.
        config: What to do.
        start: An Italian encoder to go on from, of any width, with its tokenizer; None takes
            the teacher's own layers.
        device: A torch device.

    Returns: ``out``.

    Raises:
        ConfigError: When ``out`` holds another run, or the configuration fits not the teacher.
    """
    configs.claim(out, "distill", config, start)
    torch.manual_seed(config.seed)
    where = torch.device(device)
    tokenizer = open_tokenizer(start, folder, out, config.tokenizer, config.tiers)
    if start is None:
        teacher = AutoModel.from_pretrained(config.pairs.teacher)
        vocabulary = AutoTokenizer.from_pretrained(config.pairs.teacher).get_vocab()
        model = student(teacher, vocabulary, tokenizer, config.encoder)
    else:
        model = open_encoder(start)
    model.to(where)
    loop.speed_up(model, where)
    if config.passes > 0:
        pairs = Pairs.open(folder, out, tokenizer, config.pairs, config.seed, where)
        _run(model, pairs, config, out)
    save_encoder(model, tokenizer, out)
    return out


def open_encoder(start: str | Path) -> BertModel:
    """An encoder to train on, in single precision."""
    return AutoModel.from_pretrained(start, dtype=torch.float32, add_pooling_layer=False)


def open_tokenizer(
    start: str | Path | None,
    folder: Path,
    out: Path,
    config: TokenizerConfig,
    tiers: tuple[str, ...],
) -> Tokenizer:
    """The tokenizer of ``start``, or one learnt from the corpora; kept in ``out``."""
    path = out / "tokenizer.json"
    if start is not None and not path.exists():
        AutoTokenizer.from_pretrained(start).backend_tokenizer.save(str(path))
    if not path.exists():
        tokenizers_it.train(folder, config, tiers).save(str(path))
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _run(model: BertModel, pairs: Pairs, config: DistillConfig, out: Path) -> None:
    bridge = pairs.bridge(model)
    trained = nn.ModuleList([model] if bridge is None else [model, bridge])
    shape = (config.pairs.tokens_per_batch, config.pairs.max_tokens)
    total = math.ceil(config.passes * pairs.batches_a_pass(*shape))

    def loss(batch: packing.Packed) -> tuple[Tensor, int]:
        return pairs.loss(model, batch, bridge)

    step = loop.Step(lambda: pairs.batches(*shape), loss)
    loop.run("distill", trained, step, total=total, config=config.optimiser, out=out)


_TYPED = 8
"""How often the sentences are typed anew before a typing comes again."""


class Pairs:
    """Italian sentences with the vectors that the teacher gives to their translations."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        italian: list[str],
        targets: np.ndarray,
        config: PairsConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self._tokenizer, self._italian, self._targets = tokenizer, italian, targets
        self._config, self._seed, self._device = config, seed, device
        self._typings: dict[int, packing.Texts] = {}

    @classmethod
    def open(
        cls,
        folder: Path,
        out: Path,
        tokenizer: Tokenizer,
        config: PairsConfig,
        seed: int,
        device: torch.device,
    ) -> Pairs:
        """The pairs of a corpora folder; the teacher's vectors are kept in ``out`` meanwhile."""
        pairs = corpora.parallel(folder)
        path = out / _TARGETS
        if not path.exists():
            vectors = _embed_english(
                config.teacher, [e for e, _ in pairs], config.max_tokens, device
            )
            with store.atomic(path) as stream:
                np.save(stream, vectors)
        italian = [italian for _, italian in pairs]
        return cls(tokenizer, italian, np.load(path), config, seed, device)

    def bridge(self, model: BertModel) -> nn.Linear | None:
        """A layer from the student's width to the teacher's, thrown away after; None if equal."""
        width = model.config.hidden_size
        if width == self._targets.shape[1]:
            return None
        return nn.Linear(width, self._targets.shape[1]).to(self._device)

    def batches(self, tokens: int, width: int) -> Iterator[packing.Packed]:
        """Batches of about ``tokens`` tokens in rows of ``width``, without end.

        A pass reads every sentence once, in an order of its own; a batch stays in its pass.
        """
        for number in itertools.count():
            yield from self.a_pass(number, tokens, width)

    def batches_a_pass(self, tokens: int, width: int) -> int:
        """Batches of the first pass; later ones differ by one or two."""
        return math.ceil(len(self._rows(0, width)) / max(1, tokens // width))

    def a_pass(self, number: int, tokens: int, width: int) -> Iterator[packing.Packed]:
        """One pass; its last batch is filled with sentences of the pass that come again."""
        rows, size = self._rows(number, width), max(1, tokens // width)
        rows += rows[: -len(rows) % size]
        return packing.batches(
            self._typed(number % _TYPED),
            iter([rows]),
            rows=size,
            width=width,
            frame=(CLS, SEP),
            pad=PAD,
        )

    def _rows(self, number: int, width: int) -> list[list[int]]:
        lengths = self._typed(number % _TYPED).lengths + 2
        order = np.random.default_rng(self._seed + number).permutation(len(lengths))
        return packing.fill(lengths, order, width)

    def _typed(self, typing: int) -> packing.Texts:
        if typing not in self._typings:
            rng = random.Random(self._seed * 1_000 + typing)
            typed = [
                corpora.informal(t, rng) if rng.random() < self._config.informal else t
                for t in self._italian
            ]
            limit = self._config.max_tokens - 2
            rows = self._tokenizer.encode_batch_fast(typed, add_special_tokens=False)
            self._typings[typing] = packing.Texts.of([row.ids[:limit] for row in rows])
        return self._typings[typing]

    def loss(
        self, model: BertModel, packed: packing.Packed, bridge: nn.Module | None = None
    ) -> tuple[Tensor, int]:
        """How far the student's vectors are from the teacher's, and the number of tokens.

        Args:
            model: The student.
            packed: Sentences.
            bridge: Carries vectors of the student's width to the teacher's, where they differ.
        """
        goal = torch.from_numpy(self._targets[packed.order].astype(np.float32)).to(self._device)
        n_tokens, packed = packed.n_tokens, packed.to(self._device)
        with loop.half_precision(self._device):
            hidden = packing.read(model, packed)
        pooled = packing.mean_pool(hidden, packed)
        vectors = nn.functional.normalize(pooled if bridge is None else bridge(pooled), dim=-1)
        cosine = (1 - (vectors * goal).sum(-1)).mean()
        # Summed over the width: unit vectors make a mean over it vanish beside the cosine.
        mse = ((vectors - goal) ** 2).sum(-1).mean() / 2
        rows = torch.arange(len(goal), device=self._device)
        contrast = nn.functional.cross_entropy(vectors @ goal.T * 20, rows)
        config = self._config
        loss = (
            config.weight_cosine * cosine
            + config.weight_mse * mse
            + config.weight_contrast * contrast
        )
        return loss, n_tokens


def save_encoder(model: BertModel, tokenizer: Tokenizer, out: Path) -> None:
    """Save as `AutoModel` and `AutoTokenizer` load it, weights in half precision."""
    model.to("cpu").half().save_pretrained(out)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        additional_special_tokens=["[CAP]", "[FOL]", "[CRE]", "[STA]"],
        model_max_length=model.config.max_position_embeddings,
    ).save_pretrained(out)
    loop.finish(out)
    (out / _TARGETS).unlink(missing_ok=True)
