"""Configurations of training runs: TOML files read into frozen dataclasses.

A key that the dataclass does not know is an error, never ignored. The recipes that made the
shipped weights are package data, ``recipes/*.toml``, and are found by their bare name.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from intimacy.errors import ConfigError, shown
from intimacy.render import RenderConfig

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - same parser under its name on PyPI
    import tomli as tomllib

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Byte-level BPE over Italian text."""

    vocab_size: int = 16_384
    min_frequency: int = 3
    social_repeats: int = 3
    """How often the social corpora are counted."""
    rest: float = 0.4
    """Share of the other texts that is read."""


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW with a rate that rises and falls to zero."""

    lr_embeddings: float = 1e-3
    lr_body: float = 2e-4
    warmup: float = 0.03
    """Share of the steps in which the rate rises from zero; it falls to zero at the end."""
    weight_decay: float = 0.01
    checkpoint_every: int = 500
    """Steps between checkpoints a killed run resumes from."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Shape of the student, a BERT of transformers."""

    layers: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    """Teacher layers that the student starts from, in order."""
    max_positions: int = 512


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Parallel sentences, and how far a student may be from its teacher on them."""

    teacher: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Path or hub name of the sentence encoder that teaches."""
    tokens_per_batch: int = 3_072
    max_tokens: int = 96
    weight_cosine: float = 1.0
    weight_mse: float = 4.0
    weight_contrast: float = 0.1
    informal: float = 0.4
    """Share of the Italian sentences written as people type: no accents, no capitals…"""


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """`intimacy distill`: parallel sentences carry an English encoder into Italian.

    Reimers & Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual using
    Knowledge Distillation" (arXiv:2004.09813).
    """

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    tiers: tuple[str, ...] = ("open", "nc", "unlicensed")
    """Licence tiers of the text that the tokenizer may learn from."""
    passes: float = 2.0
    """Passes over the parallel sentences; 0 leaves the student as the teacher's layers make it."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    seed: int = 20


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """A BERT that starts from random weights."""

    width: int = 384
    layers: int = 4
    heads: int = 12
    feed_forward: int = 1_536
    max_positions: int = 512


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """Share of the texts of each group of `intimacy.training.corpora` that is read at all."""

    social: float = 1.0
    threads: float = 1.0
    spoken: float = 1.0
    written: float = 0.4
    formal: float = 0.1


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """How often a text of each group stands in one pass; half a time is a coin a pass."""

    social: float = 4.0
    threads: float = 4.0
    spoken: float = 1.0
    written: float = 1.0
    formal: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ScoresConfig:
    """Texts of the corpora with scores, which persons or a model gave."""

    file: str = ""
    """JSONL, a line ``{"text_sha256": …, "source": …, "scores": {name: number, …}}`` a text."""
    max_tokens: int = 96
    """Longer texts are cut."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """`intimacy pretrain`: masked words of the corpora, parallel sentences and scores.

    Masked-language modelling is that of Devlin et al. 2019 (arXiv:1810.04805); whole words are
    masked (Cui et al. 2021, arXiv:1906.08101), and predictions are computed at masked positions
    only. A share of the batches may be those of `intimacy distill`, so that an encoder learns the
    register of comments without losing what its sentence vectors mean; a share of them texts with
    scores to be told, so that it learns what the scores are about (supplementary training: Phang
    et al. 2018, arXiv:1811.01088).
    """

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """Used where the run does not start from an encoder, which brings its own."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    """Used where the run does not start from an encoder."""
    read: ReadConfig = field(default_factory=ReadConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    """Used where some batches are parallel sentences."""
    parallel_share: float = 0.0
    """Share of the batches that are parallel sentences."""
    scores: ScoresConfig = field(default_factory=ScoresConfig)
    scored_share: float = 0.0
    """Share of the batches that are texts with scores."""
    tiers: tuple[str, ...] = ("open", "nc", "unlicensed")
    """Licence tiers of the text that may be used."""
    tokens: int = 10_000_000
    """Length of the run, in tokens of full batches."""
    tokens_per_batch: int = 4_096
    max_tokens: int = 256
    mask: float = 0.2
    """Share of the words to be predicted: 80 % of them hidden, 10 % replaced, 10 % left."""
    dropout: float = 0.0
    """Of the encoder's states while it learns; what it reads several times over needs some."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    seed: int = 20

    def __post_init__(self) -> None:
        shares = (self.parallel_share, self.scored_share)
        if min(shares) < 0 or sum(shares) > 1:
            raise ConfigError(
                f"parallel_share and scored_share are {shares[0]} and {shares[1]}; expected shares "
                "of the batches, together at most 1"
            )
        for name, share, longest in (
            ("pairs", self.parallel_share, self.pairs.max_tokens),
            ("scores", self.scored_share, self.scores.max_tokens),
        ):
            if share and not 2 < longest <= self.max_tokens:
                raise ConfigError(
                    f"[{name}] max_tokens is {longest}; expected more than 2, the frame of a "
                    f"text, and at most max_tokens, {self.max_tokens}"
                )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}; expected a share from 0 to below 1")
        if self.scored_share and not self.scores.file:
            raise ConfigError("scored_share is set, but [scores] names no file")


TUNES = ("full", "lora", "frozen")


@dataclass(frozen=True, kw_only=True)
class HeadsConfig:
    """Weights of the heads in the loss; the label counts 1."""

    scope: float = 1.0
    axes: float = 0.25
    """Each of the codebook's other attributes."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`intimacy train`: an encoder and a labelled corpus make a model folder."""

    heads: HeadsConfig = field(default_factory=HeadsConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    layers: int = 0
    """Layers of the encoder to keep, from the bottom; 0 keeps all. The top ones of a
    masked-language model do least for other tasks (Sajjad et al. 2023)."""
    epochs: int = 12
    patience: int = 4
    """Epochs without a better development loss before the run stops."""
    tokens_per_batch: int = 2_048
    tune: str = "full"
    """``full`` changes the whole encoder, ``lora`` adapters of low rank beside its products (Hu et
    al. 2021, arXiv:2106.09685), ``frozen`` nothing of it: only the heads learn."""
    rank: int = 8
    """Rank of the adapters."""
    lr: float = 1.5e-4
    lr_heads: float = 1e-3
    layer_decay: float = 0.9
    """Each layer below the top learns at this fraction of the rate above it."""
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    averaging: float = 0.5
    """Epochs that the weights which are kept are a running mean over (Morales-Brotons et al. 2024,
    arXiv:2411.18704); 0 keeps those of the last step."""
    informal: float = 0.15
    """Share of the turns written without accents, capitals or punctuation, afresh each epoch."""
    drop_caption: float = 0.15
    """Share of the captions hidden, where the label does not need them."""
    swap_caption: float = 0.25
    """Share of the threads given another thread's caption, where the label does not need it: a
    caption that no turn takes up decides nothing."""
    boilerplate: float = 0.4
    """Share of the captions that get lines as they end descriptions: links, codes, hashtags."""
    unanswered: float = 0.2
    """Share of the threads that are reciprocal for the creator's answer alone which lose it, or get
    a token in its place, and are interactive then."""
    dev_share: float = 0.15
    test_share: float = 0.20
    """Shares of the personas held out where the corpus itself states no split."""
    coverage_risk: float = 0.10
    """Error rate that the abstention threshold aims at among the threads it answers."""
    show_failures: bool = False
    """Print some held-out threads that the model gets wrong into its card. Only for texts that may
    be published."""
    seed: int = 7
    seeds: int = 1
    """Networks to train, each from the next seed; the one with the lowest development loss is
    shipped, and the figures of all are reported."""

    def __post_init__(self) -> None:
        if self.tune not in TUNES:
            raise ConfigError(f"tune is {shown(self.tune)}; expected one of: {', '.join(TUNES)}")


def load(kind: type[C], source: str | Path | None) -> C:
    """Read a configuration.

    Args:
        kind: The dataclass, e.g. `DistillConfig`.
        source: A TOML file, the bare name of a shipped recipe, or None for the defaults.

    Raises:
        ConfigError: When the file is missing, is not TOML, or holds an unknown key or a value
            of the wrong type.
    """
    if source is None:
        return kind()
    path = Path(source)
    if path.suffix != ".toml":
        recipe = resources.files("intimacy.training") / "recipes" / f"{source}.toml"
        text = recipe.read_text("utf-8") if recipe.is_file() else None
        if text is None:
            names = sorted(
                p.name.removesuffix(".toml")
                for p in (resources.files("intimacy.training") / "recipes").iterdir()
            )
            raise ConfigError(f"no recipe {str(source)!r}; expected a .toml file or one of {names}")
    else:
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise ConfigError(f"cannot read the configuration {path}: {exc.strerror}") from exc
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{source}: not valid TOML: {exc}") from exc
    return from_dict(kind, values, where=str(source))


def from_dict(kind: type[C], values: dict[str, Any], *, where: str) -> C:
    """Build a configuration from plain values; nested tables become nested dataclasses.

    Raises:
        ConfigError: On an unknown key or a value of the wrong type.
    """
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"{where}: unknown key(s) {unknown}; expected some of {sorted(known)}")
    defaults = kind()
    built: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {name} is a table, got {type(value).__name__}")
            built[name] = from_dict(type(default), value, where=f"{where} [{name}]")
        elif isinstance(default, tuple):
            if not isinstance(value, list):
                raise ConfigError(f"{where}: {name} is a list, got {type(value).__name__}")
            built[name] = tuple(value)
        elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            built[name] = float(value)
        elif type(value) is not type(default):
            raise ConfigError(
                f"{where}: {name} is {type(default).__name__}, got {type(value).__name__}"
            )
        else:
            built[name] = value
    return kind(**built)


def claim(out: Path, name: str, config: Any, start: str | Path | None, **inputs: str) -> None:
    """Make ``out`` the folder of a run, and write into it what the run does.

    An interrupted run goes on only under the configuration it began with: batches and rates
    depend on it. ``inputs`` are digests of files that it depends on in the same way.

    Raises:
        ConfigError: When the folder holds another run, or one with another configuration.
    """
    out.mkdir(parents=True, exist_ok=True)
    facts = {"run": name, "start": None if start is None else str(start), **inputs}
    text = json.dumps(facts | dataclasses.asdict(config), ensure_ascii=False, indent=2)
    path = out / "run.json"
    if path.exists() and path.read_text("utf-8") != text:
        raise ConfigError(f"{out} holds another run (see {path.name} there); name another place")
    path.write_text(text, "utf-8")
