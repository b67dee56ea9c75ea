"""The model folder: weights, tokenizer and a manifest that says how to use them.

Safetensors, ONNX and JSON only. The manifest carries the order of the labels and heads, the
render budget, the calibration, the abstention threshold, the errors on the development threads and
a hash of every file, so that two results with the same `model_id` came from the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from intimacy.annotation import FLAGS, VALUES
from intimacy.errors import BundleError
from intimacy.render import RenderConfig
from intimacy.schema import Label

MANIFEST = "manifest.json"
FORMAT = 1
"""Version of the folder's layout; a later one cannot be read by this library."""
BUNDLED = "intimacy-it"

HEADS: Mapping[str, tuple[Any, ...]] = {
    "label": tuple(str(label) for label in Label),
    "scope": ("in_scope", *FLAGS),
    **VALUES,
}
"""Heads of the model and the values each tells apart, in the order of its outputs."""


def columns(heads: Mapping[str, Sequence[Any]]) -> dict[str, slice]:
    """Columns of each head where their outputs stand side by side."""
    out, start = {}, 0
    for name, values in heads.items():
        out[name] = slice(start, start + len(values))
        start += len(values)
    return out


@dataclass(frozen=True, kw_only=True)
class Errors:
    """What the development threads say of how a head errs; see `intimacy.prevalence`."""

    counts: Sequence[Sequence[float]]
    """Threads by true value (rows) and by the value that the model says (columns)."""
    spread: float
    """How much the rates differ from creator to creator: standard deviation of a shift of the
    logarithm of each rate."""
    means: Sequence[Sequence[float]] = ()
    """Mean scores by true label; for the label alone."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a model folder says of itself."""

    name: str
    version: str
    language: str = "it"
    format: int = FORMAT
    heads: Mapping[str, Sequence[Any]] = field(default_factory=lambda: dict(HEADS))
    """Head → its values, in the order of the concatenated outputs."""
    render: RenderConfig = field(default_factory=RenderConfig)
    temperature: float = 1.0
    """Divides the label logits; fitted on development threads."""
    scope_temperature: float = 1.0
    threshold: float = 0.0
    """Best scores below it abstain with ``low_confidence``."""
    scope_threshold: float = 0.5
    """A thread whose probability of being in scope is below it abstains."""
    prior: Mapping[str, float] = field(default_factory=dict)
    """Shares of the labels in the training data, which the scores assume."""
    errors: Mapping[str, Errors] = field(default_factory=dict)
    """Head → its errors on the development threads."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File → SHA-256."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Where the model comes from: configuration, data hashes, versions, metrics."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set, in the order of every score vector."""
        return tuple(map(str, self.heads["label"]))

    def slices(self) -> dict[str, slice]:
        """Columns of each head in the output."""
        return columns(self.heads)


@dataclass(frozen=True)
class Bundle:
    """A model folder that was opened."""

    path: Path
    manifest: Manifest
    model_id: str
    """Name, version and digest, e.g. ``intimacy-it@0.1.0+sha256:9f3c0a12b7de``."""

    @property
    def onnx(self) -> Path:
        """The network for inference on a CPU."""
        return self.path / "model.onnx"

    def tokenizer(self) -> Tokenizer:
        """A tokenizer of its own, to be configured by whoever asks.

        Raises:
            BundleError: When the file is damaged.
        """
        try:
            return Tokenizer.from_file(str(self.path / "tokenizer.json"))
        except Exception as exc:  # the Rust side raises a bare Exception
            raise BundleError(f"{self.path / 'tokenizer.json'}: not a tokenizer: {exc}") from exc

    def verify(self) -> None:
        """Compare every file with its hash in the manifest.

        Raises:
            BundleError: When a file is missing or has changed.
        """
        for name, expected in self.manifest.files.items():
            found = digest(self.path / name)
            if found != expected:
                raise BundleError(
                    f"{self.path / name}: SHA-256 is {found[:12]}…, the manifest says "
                    f"{expected[:12]}…; the file was changed or the copy is incomplete. "
                    "Install the model again"
                )


def bundled_path() -> Path:
    """The model that comes with the library, in a wheel or in a checkout.

    Raises:
        BundleError: When it is in neither place.
    """
    package = Path(__file__).resolve().parent
    places = (package / "models" / BUNDLED, package.parents[1] / "models" / BUNDLED)
    for place in places:
        if (place / MANIFEST).is_file():
            return place
    raise BundleError(
        f"the bundled model is in neither {places[0]} nor {places[1]}; the installation is "
        "incomplete: reinstall intimacy, or pass the path of a model folder"
    )


def open_bundle(path: Path | str | None = None) -> Bundle:
    """Open a model folder; None is the bundled one.

    Raises:
        BundleError: When it is missing, incomplete, damaged or of a later format.
    """
    folder = bundled_path() if path is None else Path(path)
    place = folder / MANIFEST
    try:
        raw = place.read_bytes()
    except OSError as exc:
        raise BundleError(
            f"{folder} is not a model folder: {MANIFEST} cannot be read "
            f"({exc.strerror or exc}). Train one with 'intimacy train CORPUS -o {folder}'"
        ) from exc
    try:
        values = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise BundleError(f"{place}: not JSON: {exc}") from exc
    if values.get("format") != FORMAT:
        raise BundleError(
            f"{place}: format {values.get('format')!r}; this version of intimacy reads "
            f"format {FORMAT}. Update the library or the model"
        )
    try:
        manifest = msgspec.convert(values, Manifest, strict=True)
    except msgspec.ValidationError as exc:
        raise BundleError(f"{place}: {exc}") from exc
    for name in ("model.onnx", "tokenizer.json"):
        if not (folder / name).is_file():
            raise BundleError(f"{folder}: {name} is missing; install the model again")
    identity = hashlib.sha256(raw).hexdigest()[:12]
    return Bundle(folder, manifest, f"{manifest.name}@{manifest.version}+sha256:{identity}")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, readable by people."""
    raw = msgspec.json.encode(asdict(manifest))
    (folder / MANIFEST).write_bytes(msgspec.json.format(raw, indent=2) + b"\n")


def digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        BundleError: When it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            state = hashlib.sha256()
            while block := stream.read(1 << 20):
                state.update(block)
            return state.hexdigest()
    except OSError as exc:
        raise BundleError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
