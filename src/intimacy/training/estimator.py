"""`IntimacyClassifier`: fine-tuning behind the contract of scikit-learn.

It trains, exports, calibrates and stores by the same functions as `intimacy train`, and what it
learns is the same model folder; this is the door for notebooks, grids and cross-validation.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
import weakref
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from intimacy import bundle as bundles
from intimacy import text as texts
from intimacy.annotation import AnnotatedThread
from intimacy.bundle import Bundle, Manifest
from intimacy.classifier import Classifier
from intimacy.errors import CorpusError, IntimacyWarning
from intimacy.intake import as_thread
from intimacy.prediction import Prediction
from intimacy.render import RenderConfig
from intimacy.schema import Label
from intimacy.training import card, finetune, record
from intimacy.training.config import TrainConfig
from intimacy.training.model import is_bundle, open_tokenizer
from intimacy.training.supervision import (
    as_list,
    classes_of,
    groups_of,
    held_out,
    labelled,
    weights_of,
)

_CODEBOOK = tuple(map(str, Label))
_ASKED = 200
"""Threads whose language is looked at."""


_STEPS = 100
_THREADS_A_STEP = 32


class IntimacyClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer fine-tuned on labelled threads, as a scikit-learn classifier.

    ``fit`` always holds out a calibration part, whole creators at a time: it stops the training,
    calibrates the scores and sets the threshold, and is reported in ``report_``. Measure on other
    creators than those given to ``fit``.

    Args:
        base: What to start from: None is the bundled model; or the path of a model folder; or the
            path or hub name of a transformers encoder with a fast tokenizer.
        tune: ``full``, ``lora`` or ``frozen``, see `intimacy.training.config.TrainConfig`.
        epochs: Passes over the threads, at most. None is 12; of few threads, which make few
            steps a pass, enough for about 100 steps.
        patience: Epochs without a better calibration loss before it stops. None is a third of
            ``epochs``.
        lr: Rate of the top layer of the encoder. None is 1.5e-4, and 1e-4 for a model folder,
            which has learnt much already.
        lr_heads: Rate of the heads. None is 1e-3, and 5e-4 for a model folder.
        layers: Layers of an encoder to keep, from the bottom; 0 keeps all.
        rank: Rank of LoRA adapters.
        max_tokens: Budget of a thread.
        calibration_share: Share of the threads held out, in (0, 1).
        coverage_risk: Error rate that abstention aims at among what it answers.
        language: Of the threads, as ISO 639-1. Only for ``it`` foreign threads are set apart.
        random_state: Seed of everything.
        device: A torch device.

    Attributes:
        classes_: The classes, sorted; order of the columns of `predict_proba`.
        report_: What the run did and how well the calibration part is read (it was chosen by
            that part: too good by as much); ``intervals`` are 95 % over its creators, None where
            it has one.
    """

    def __init__(
        self,
        base: str | Path | None = None,
        *,
        tune: str = "full",
        epochs: int | None = None,
        patience: int | None = None,
        lr: float | None = None,
        lr_heads: float | None = None,
        layers: int = 0,
        rank: int = 8,
        max_tokens: int = 256,
        calibration_share: float = 0.15,
        coverage_risk: float = 0.1,
        language: str = "it",
        random_state: int = 0,
        device: str = "cpu",
    ) -> None:
        self.base = base
        self.tune = tune
        self.epochs = epochs
        self.patience = patience
        self.lr = lr
        self.lr_heads = lr_heads
        self.layers = layers
        self.rank = rank
        self.max_tokens = max_tokens
        self.calibration_share = calibration_share
        self.coverage_risk = coverage_risk
        self.language = language
        self.random_state = random_state
        self.device = device

    # -- learning

    def fit(
        self,
        X: Iterable[Any],
        y: Iterable[Any] | None = None,
        *,
        groups: Iterable[Hashable] | None = None,
        sample_weight: Iterable[float] | None = None,
    ) -> IntimacyClassifier:
        """Train, calibrate, report.

        Args:
            X: Threads, anything that `intimacy.classify_thread` takes; or `AnnotatedThread`, whose
                attributes are learnt beside the label.
            y: A label each; or a distribution each, ``{label: share}``; or ``"out_of_scope"`` or
                ``"not_italian"`` for what has none. None takes the labels of the threads.
            groups: Who wrote it, one each: a group is held out whole. None takes the creators of
                the threads; threads without one stand for themselves.
            sample_weight: What each thread counts, 0 or more.

        Raises:
            ThreadError: When an item is no thread.
            CorpusError: When labels are missing, or there is too little to hold something out.
            ConfigError: When a parameter or the length of an argument is wrong.
        """
        items, values = labelled(X, y)
        who = groups_of(groups, items)
        if groups is not None:
            # What is calibrated and reported knows the same groups as what is held out.
            items = [replace(i, persona=str(name)) for i, name in zip(items, who, strict=True)]
        self.classes_ = classes_of(values)
        if len(self.classes_) < 2:
            raise CorpusError(
                f"{len(items)} threads of {len(self.classes_)} class; expected at least 2 classes"
            )
        names = [str(c) for c in self.classes_]
        # The codebook's own order, where it is the codebook.
        names = [n for n in _CODEBOOK if n in names] if set(names) <= set(_CODEBOOK) else names
        self._speak_of(items)
        config, source = self._config(len(items)), self._source()
        weights = weights_of(sample_weight, len(items))
        held = held_out(items, who, share=self.calibration_share, seed=self.random_state)
        parts = {
            "train": [item for item, out in zip(items, held, strict=True) if not out],
            "dev": [item for item, out in zip(items, held, strict=True) if out],
        }
        rest = None if weights is None else [w for w, o in zip(weights, held, strict=True) if not o]
        manifest = finetune.blank_manifest(
            parts["train"],
            config,
            name="intimacy-classifier",
            version="0",
            encoder=source,
            language=self.language,
            labels=names,
        )
        made = record.of_run(config, parts, encoder=source, device=self.device, weights=rest)
        folder = _Folder()
        finetune.make(
            folder.path,
            parts,
            config,
            manifest,
            tokenizer=open_tokenizer(source),
            encoder=source,
            device=self.device,
            weights=rest,
        )
        self._open(folder)
        inside = [item for item in parts["dev"] if item.label is not None]
        scores = self._scores([item.thread for item in inside])
        self.report_ = record.of_calibration(inside, scores, [str(c) for c in self.classes_], parts)
        self.report_ |= {
            "temperature": self.classifier_.manifest.temperature,
            "threshold": self.classifier_.manifest.threshold,
            "loss": self.classifier_.manifest.training["dev_loss"],
        }
        trained = self.classifier_.manifest
        made |= {**trained.training, "seeds": [trained.training]}
        bundles.write_manifest(folder.path, replace(trained, training=made))
        self._open(folder)
        return self

    def _config(self, n: int) -> TrainConfig:
        lr, lr_heads = (1e-4, 5e-4) if is_bundle(self._source()) else (1.5e-4, 1e-3)
        epochs = self.epochs
        if epochs is None:
            epochs = max(12, math.ceil(_STEPS / math.ceil(n / _THREADS_A_STEP)))
        return TrainConfig(
            render=RenderConfig(max_tokens=self.max_tokens),
            layers=self.layers,
            epochs=epochs,
            patience=max(4, epochs // 3) if self.patience is None else self.patience,
            tune=self.tune,
            rank=self.rank,
            lr=lr if self.lr is None else self.lr,
            lr_heads=lr_heads if self.lr_heads is None else self.lr_heads,
            coverage_risk=self.coverage_risk,
            seed=self.random_state,
        )

    def _source(self) -> str:
        return str(bundles.bundled_path() if self.base is None else self.base)

    def _speak_of(self, items: Sequence[AnnotatedThread]) -> None:
        """Warn where the language of the threads is not the one that the library is made for."""
        sample = [texts.language(" ".join(t.text for t in i.thread.turns)) for i in items[:_ASKED]]
        proven = [code for code in sample if code is not None]
        found = Counter(proven).most_common(1)[0][0] if proven else self.language
        if found != self.language:
            warnings.warn(
                f"most of the threads read as {found!r}, language is {self.language!r}; pass "
                f"language={found!r}, or foreign threads are set apart and get no label",
                IntimacyWarning,
                stacklevel=3,
            )
        elif self.language != "it":
            warnings.warn(
                f"language is {self.language!r}: the bundled model, masks, cues and profiles are "
                "made for Italian and were measured on nothing else; trust what you measure",
                IntimacyWarning,
                stacklevel=3,
            )

    # -- telling

    @property
    def classifier_(self) -> Classifier:
        """What `intimacy.classify_threads` takes as ``model=``: labels, reasons, evidence.

        Raises:
            sklearn.exceptions.NotFittedError: Before ``fit``.
        """
        check_is_fitted(self, "_folder")
        return self._classifier

    def classify(self, X: Iterable[Any], *, evidence: bool = False) -> list[Prediction]:
        """Predictions as `intimacy.classify_threads` gives them: they may abstain and say why."""
        found = self.classifier_
        return found.classify_threads(as_list(X), evidence=evidence, progress=False)

    def predict_proba(self, X: Iterable[Any]) -> npt.NDArray[np.float64]:
        """Calibrated scores, shape ``(n, classes)``, in the order of ``classes_``.

        Threads that no model can read (no text) get the shares of the classes in training.
        """
        check_is_fitted(self, "_folder")
        return self._scores([as_thread(item, n) for n, item in enumerate(as_list(X))])

    def predict(self, X: Iterable[Any]) -> npt.NDArray[Any]:
        """The class of the best score for every thread, shape ``(n,)``; it never abstains."""
        best = self.predict_proba(X).argmax(1)
        classes: npt.NDArray[Any] = self.classes_
        return classes[best]

    def _scores(self, threads: Sequence[Any]) -> npt.NDArray[np.float64]:
        classifier = self.classifier_
        prior = classifier.manifest.prior
        found = classifier.classify_threads(threads, progress=False)
        rows = [[(p.scores or prior)[str(c)] for c in self.classes_] for p in found]
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(self.classes_))

    # -- keeping

    def save_pretrained(self, path: str | Path) -> Path:
        """Write the model folder: safetensors, ONNX, JSON and a card; `from_pretrained` reads it.

        Raises:
            ConfigError: When ``path`` holds anything but an earlier model, which is replaced.
        """
        out, source = Path(path), self.classifier_.bundle
        finetune.may_write(out)
        draft = out.with_name(f".{out.name}.partial")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source.path, draft)
        # A folder of `intimacy train` that was only opened has its card, and stays what it is.
        if self.report_:
            manifest = self._complete(source)
            bundles.write_manifest(draft, manifest)
            (draft / "README.md").write_text(card.draft(manifest), "utf-8")
        shutil.rmtree(out, ignore_errors=True)
        draft.replace(out)
        return out

    def _complete(self, source: Bundle) -> Manifest:
        params = {k: str(v) if isinstance(v, Path) else v for k, v in self.get_params().items()}
        return replace(
            source.manifest,
            files={name: bundles.digest(source.path / name) for name in finetune.FILES},
            training={
                **source.manifest.training,
                "estimator": params,
                "classes": self.classes_.tolist(),
                "report": self.report_,
            },
        )

    @classmethod
    def from_pretrained(cls, path: str | Path) -> IntimacyClassifier:
        """A fitted classifier out of a model folder, of ``save_pretrained`` or `intimacy train`.

        Raises:
            BundleError: When the folder is missing, incomplete or damaged.
        """
        found = bundles.open_bundle(path)
        training = found.manifest.training
        made = cls(**training.get("estimator", {"base": str(path)}))
        made.classes_ = np.array(training.get("classes", sorted(found.manifest.labels)))
        made.report_ = training.get("report", {})
        made._open(_Folder(copy_of=found.path))
        return made

    def _open(self, folder: _Folder) -> None:
        self._folder = folder
        self._classifier = Classifier(bundles.open_bundle(folder.path))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_classifier", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_folder" in state:
            self._open(state["_folder"])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.non_deterministic = False
        return tags


@dataclass
class _Folder:
    """A model folder of its own, which goes when nobody holds it; travels as its files."""

    copy_of: Path | None = None

    def __post_init__(self) -> None:
        place = tempfile.mkdtemp(prefix="intimacy-")
        weakref.finalize(self, shutil.rmtree, place, ignore_errors=True)
        self.path = Path(place) / "model"
        if self.copy_of is None:
            self.path.mkdir()
        else:
            shutil.copytree(self.copy_of, self.path)

    def __getstate__(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted(self.path.iterdir())}

    def __setstate__(self, files: Mapping[str, bytes]) -> None:
        self.copy_of = None
        self.__post_init__()
        for name, content in files.items():
            (self.path / name).write_bytes(content)
