"""`IntimacyClassifier`: scikit-learn's contract, any encoder, any labels, from and to a folder."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import thread

import intimacy
from intimacy.annotation import AnnotatedThread
from intimacy.errors import ConfigError, CorpusError, IntimacyWarning, ThreadError
from intimacy.schema import Post, Thread

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.slow,
    # torch, transformers and peft deprecate their own calls between versions.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

SAID = {
    "commercial": [("follower", "quanto costa la borsa?"), ("creator", "venti euro, link in bio")],
    "interactive": [("follower", "sei bellissima oggi")],
    "reciprocal": [("follower", "che farina usi?"), ("creator", "la tipo uno, riposa una notte")],
    "disclosive": [("follower", "come stai?"), ("creator", "ho pianto tutta la notte per lui")],
}
WORDS = sorted({w for turns in SAID.values() for _, text in turns for w in text.split()})


def corpus(n: int = 6) -> tuple[list[Thread], list[str], list[str]]:
    """Threads, labels and creators: ``n`` creators with one thread of every label."""
    threads, labels, creators = [], [], []
    for creator in range(n):
        for label, turns in SAID.items():
            said = [(role, f"{text} {'!' * (creator % 3)}") for role, text in turns]
            made = thread(*said, id=f"{creator}-{label}")
            threads.append(
                Thread(id=made.id, turns=made.turns, post=Post(id="p", creator_id=f"@c{creator}"))
            )
            labels.append(label)
            creators.append(f"@c{creator}")
    return threads, labels, creators


SHAPE = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
)  # fmt: skip


def encoder(kind: str, folder: Path) -> Path:
    """A small random encoder with a tokenizer of its family, saved as the hub would."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    roberta = kind in ("Roberta", "XLMRoberta")
    names = (
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        if roberta
        else ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    )
    unknown = "<unk>" if roberta else "[UNK]"
    pad = "<pad>" if roberta else "[PAD]"
    if kind in ("Roberta", "ModernBert"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer: Any = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=names,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
    elif kind in ("XLMRoberta", "DebertaV2"):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=120, special_tokens=names, unk_token=unknown, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=200, special_tokens=names, show_progress=False
        )
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown
    ).save_pretrained(folder)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=tokenizer.get_vocab_size(),
        pad_token_id=tokenizer.token_to_id(pad),
        max_position_embeddings=130,
        **SHAPE,
        **(
            {
                "position_biased_input": False,
                "relative_attention": True,
                "pos_att_type": ["p2c", "c2p"],
            }
            if kind == "DebertaV2"
            else {}
        ),
        **(
            {"global_attn_every_n_layers": 2, "local_attention": 16} if kind == "ModernBert" else {}
        ),
    )
    torch.manual_seed(0)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder("Bert", tmp_path_factory.mktemp("bert"))


def small(base: Path, **changes: Any) -> intimacy.IntimacyClassifier:
    """A classifier that is trained in a second or two."""
    given = dict(base=base, epochs=40, patience=40, lr=3e-3, lr_heads=3e-3, max_tokens=64)
    return intimacy.IntimacyClassifier(**(given | changes))


@pytest.fixture(scope="module")
def fitted(bert: Path) -> intimacy.IntimacyClassifier:
    threads, labels, creators = corpus()
    return small(bert).fit(threads, labels, groups=creators)


def test_it_learns_and_reports(fitted: intimacy.IntimacyClassifier) -> None:
    threads, labels, _ = corpus(9)
    assert fitted.classes_.tolist() == sorted(SAID)
    assert fitted.score(threads[-12:], labels[-12:]) >= 0.9
    scores = fitted.predict_proba(threads)
    assert scores.shape == (36, 4) and np.allclose(scores.sum(1), 1)
    assert (fitted.classes_[scores.argmax(1)] == fitted.predict(threads)).all()
    assert fitted.report_["groups"] == {"train": 5, "dev": 1}
    assert fitted.report_["n_train"] + fitted.report_["n_calibration"] == 24
    # What the codebook rules out stays out.
    alone = fitted.predict_proba([thread(("follower", "che farina usi?"))])[0]
    assert alone[fitted.classes_.tolist().index("reciprocal")] == 0


def test_it_travels_and_comes_back_the_same(
    fitted: intimacy.IntimacyClassifier, tmp_path: Path
) -> None:
    threads, _, _ = corpus()
    before = fitted.predict_proba(threads)
    folder = fitted.save_pretrained(tmp_path / "mine")
    again = intimacy.IntimacyClassifier.from_pretrained(folder)
    assert (again.predict_proba(threads) == before).all()
    assert again.get_params() == {**fitted.get_params(), "base": str(fitted.base)}
    assert {p.suffix for p in folder.iterdir()} <= {
        ".safetensors",
        ".onnx",
        ".json",
        ".md",
        ".jsonl",
    }
    # The folder is a model like any other, and is replaced only by one.
    found = intimacy.classify_threads(threads, model=intimacy.load_model(folder))
    assert [p.best for p in found] == fitted.predict(threads).tolist()
    fitted.save_pretrained(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "work.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a model folder"):
        fitted.save_pretrained(tmp_path / "other")
    moved = pickle.loads(pickle.dumps(fitted))
    assert (moved.predict_proba(threads) == before).all()


def test_the_folder_says_how_it_was_made(
    fitted: intimacy.IntimacyClassifier, bert: Path, tmp_path: Path
) -> None:
    from intimacy import bundle
    from intimacy.training import record
    from intimacy.training.config import TrainConfig, from_dict
    from intimacy.training.supervision import labelled

    threads, labels, creators = corpus()
    made = intimacy.load_model(fitted.save_pretrained(tmp_path / "m")).manifest.training
    assert made["estimator"]["lr"] == 3e-3 and made["report"] == fitted.report_
    config = from_dict(TrainConfig, made["config"], where="manifest")
    assert (config.epochs, config.lr, config.seed) == (40, 3e-3, 0)
    assert config.render.max_tokens == 64 and config.averaging == TrainConfig().averaging
    assert made["seeds"] == [{"seed": 0, "dev_loss": fitted.report_["loss"]}]
    assert made["encoder"] == bert.name and made["device"] == "cpu" and made["cpu_threads"] >= 1
    assert made["encoder_digest"] == bundle.digest(bert / "model.safetensors")
    assert made["groups"] == fitted.report_["groups"] == {"train": 5, "dev": 1}
    assert {"python", "torch", "intimacy", "numpy"} <= set(made["versions"])
    items = [
        replace(item, persona=name)
        for item, name in zip(labelled(threads, labels)[0], creators, strict=True)
    ]
    (held,) = {
        name
        for name in creators
        if made["threads_sha256"]["dev"]
        == record.digest_of([item for item in items if item.persona == name])
    }
    rest = [item for item in items if item.persona != held]
    assert made["threads_sha256"]["train"] == record.digest_of(rest)
    assert made["weights_sha256"] is None
    card = (tmp_path / "m" / "README.md").read_text("utf-8")
    assert "one creator: no interval" in card and "0 (" in card and bert.name in card
    assert str(bert) not in card


def test_the_report_has_intervals_over_the_groups_that_were_given(bert: Path) -> None:
    threads, labels, creators = corpus(12)
    nobodys = [replace(t, post=replace(t.post, creator_id=None)) for t in threads]
    model = small(bert, epochs=3, calibration_share=0.4)
    model.fit(nobodys, labels, groups=creators, sample_weight=[1.0] * len(labels))
    report = model.report_
    assert report["groups"]["dev"] == 5 and report["n_calibration"] == 20
    for kind in ("macro_f1", "accuracy", "brier"):
        low, high = report["intervals"][kind]
        assert low <= report[kind] <= high
    assert report["intervals"]["brier"][0] < report["intervals"]["brier"][1]
    assert len(model.classifier_.manifest.training["weights_sha256"]) == 64


def test_what_was_only_opened_is_kept_as_it_is(tmp_path: Path) -> None:
    from intimacy.bundle import bundled_path

    intimacy.IntimacyClassifier.from_pretrained(bundled_path()).save_pretrained(tmp_path / "m")
    for name in ("manifest.json", "README.md", "model.onnx"):
        assert (tmp_path / "m" / name).read_bytes() == (bundled_path() / name).read_bytes()


def test_the_bundled_model_opens_as_one() -> None:
    from intimacy.bundle import bundled_path

    model = intimacy.IntimacyClassifier.from_pretrained(bundled_path())
    threads, _, _ = corpus(1)
    said = intimacy.classify_threads(threads)
    assert model.predict(threads).tolist() == [p.best for p in said]
    assert [p.label for p in model.classify(threads)] == [p.label for p in said]


@pytest.mark.parametrize("kind", ["Roberta", "DebertaV2", "ModernBert", "XLMRoberta"])
def test_any_encoder_by_path(kind: str, tmp_path: Path) -> None:
    threads, labels, creators = corpus()
    model = small(encoder(kind, tmp_path / "e")).fit(threads, labels, groups=creators)
    assert model.score(threads, labels) >= 0.9
    # As exported and as trained agree.
    from intimacy.classifier import Classifier
    from intimacy.training.model import TorchBackend, load

    bundle = model.classifier_.bundle
    trained = Classifier(bundle, TorchBackend(load(bundle.path, bundle.manifest.heads)))
    exact = trained.classify_threads(threads, progress=False)
    for mine, theirs in zip(model.classify(threads), exact, strict=True):
        assert max(abs(mine.scores[k] - theirs.scores[k]) for k in mine.scores) < 0.1


@pytest.mark.parametrize("tune", ["frozen", "lora"])
def test_less_than_everything_is_tuned(tune: str, bert: Path) -> None:
    from safetensors.torch import load_file

    threads, labels, creators = corpus()
    # Adapters learn at ten times this rate, and at more they diverge.
    model = small(bert, tune=tune, lr=3e-4, lr_heads=1e-2, epochs=60, patience=60)
    model.fit(threads, labels, groups=creators)
    assert model.score(threads, labels) >= 0.9
    before = load_file(bert / "model.safetensors")
    after = load_file(model.classifier_.bundle.path / "model.safetensors")
    name = "encoder.layer.0.attention.self.query.weight"
    same = torch.allclose(before[name], after[f"encoder.{name}"].float(), atol=1e-3)
    assert same == (tune == "frozen")
    assert not any("lora" in key for key in after)


def test_labels_of_ones_own(bert: Path, tmp_path: Path) -> None:
    threads, labels, creators = corpus()
    own = {"commercial": "vendita", "interactive": "saluto", "reciprocal": "aiuto"}
    named = [own.get(label, "racconto") for label in labels]
    model = small(bert).fit(threads, named, groups=creators)
    assert model.classes_.tolist() == ["aiuto", "racconto", "saluto", "vendita"]
    assert model.score(threads, named) >= 0.9
    found = model.classify(threads, evidence=True)
    assert {p.label for p in found} <= {*named, None}
    again = intimacy.load_model(model.save_pretrained(tmp_path / "own"))
    stored = [intimacy.Prediction.to_dict(p) for p in again.classify_threads(threads)]
    from intimacy import store

    assert [store.prediction_from_dict(row).label for row in stored] == [p.label for p in found]
    with pytest.raises(ThreadError, match="profiles are defined for"):
        intimacy.profile(threads, found, model=again)


def test_distributions_weights_flags_and_numbers(bert: Path) -> None:
    threads, labels, creators = corpus()
    soft: list[Any] = [{label: 0.9, "interactive": 0.1} for label in labels]
    soft = [
        {"interactive": 1.0} if k == "interactive" else s for k, s in zip(labels, soft, strict=True)
    ]
    soft[0] = "out_of_scope"
    quick = {"epochs": 2, "patience": 2}
    model = small(bert, **quick).fit(threads, soft, groups=creators)
    assert model.classes_.tolist() == sorted(SAID)
    codes = np.array([sorted(SAID).index(label) for label in labels])
    model = small(bert, **quick).fit(threads, codes, groups=creators)
    assert model.classes_.dtype == codes.dtype
    assert set(model.predict(threads).tolist()) <= {0, 1, 2, 3}
    # A weight of nothing is as good as not being there.
    flipped = labels + ["disclosive" if k == "commercial" else k for k in labels]
    twice = [*threads, *threads]
    weights = [1.0] * len(threads) + [0.0] * len(threads)
    model = small(bert, calibration_share=0.1).fit(
        twice, flipped, groups=creators * 2, sample_weight=weights
    )
    assert model.score(threads, labels) >= 0.9


def test_annotated_threads_bring_everything(bert: Path) -> None:
    some = [i for i in intimacy.load_corpus() if i.split == "train"][:120]
    model = small(bert, epochs=1).fit(some)
    assert "product_salience" in model.classify(some[:1])[0].attributes
    with pytest.raises(CorpusError, match="pass y"):
        small(bert).fit([item.thread for item in some])
    assert isinstance(some[0], AnnotatedThread)


def test_a_grid_and_cross_validation_by_creator(bert: Path) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

    threads, labels, creators = corpus()
    quick = small(bert, epochs=15, patience=15)
    search = GridSearchCV(quick, {"lr": [1e-5, 3e-3]}, cv=GroupKFold(2))
    search.fit(threads, labels, groups=creators)
    assert search.best_params_ == {"lr": 3e-3}
    said = cross_val_predict(
        clone(search.best_estimator_), threads, labels, groups=creators, cv=GroupKFold(2)
    )
    assert np.mean(said == np.array(labels)) >= 0.75
    scores = cross_val_predict(
        quick, threads, labels, groups=creators, cv=GroupKFold(2), method="predict_proba"
    )
    assert scores.shape == (24, 4) and np.allclose(scores.sum(1), 1)


def test_another_language_is_said_aloud(bert: Path) -> None:
    said = "muchas gracias por todo, me encanta esta receta, la haré mañana para mis hijos"
    thanks = [("follower", "hola"), ("creator", "gracias a todos por estar")]
    turns = [*[thread(("follower", said))] * 8, *[thread(*thanks)] * 8]
    labels, creators = ["a", "b"] * 8, [str(i // 2) for i in range(16)]
    quick = small(bert, epochs=1)
    with pytest.warns(IntimacyWarning, match="language='es'"):
        quick.fit(turns, labels, groups=creators)
    with pytest.warns(IntimacyWarning, match="made for Italian"):
        model = small(bert, epochs=1, language="es").fit(turns, labels, groups=creators)
    assert all(p.reason != "not_italian" for p in model.classify(turns))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(X=[]), CorpusError, "X is empty"),
        (dict(X="ciao"), ConfigError, "expected a list of threads"),
        (dict(y=["commercial"]), ConfigError, "24 threads and 1 labels"),
        (dict(y=["commercial"] * 24), CorpusError, "1 class"),
        (dict(y=[None] * 24), CorpusError, r"y\[0\] is None"),
        (dict(y=[{"commercial": 0.2}] * 24), ConfigError, "sum to 1"),
        (dict(groups=["one"] * 24), CorpusError, "nothing to calibrate on"),
        (dict(groups=["one"]), ConfigError, "1 groups"),
        (dict(sample_weight=[-1.0] * 24), ConfigError, "0 or more"),
        (dict(X=[1] * 24), ThreadError, "int received"),
    ],
)
def test_what_cannot_be_learnt_is_refused(
    change: dict[str, Any], error: type[Exception], message: str, bert: Path
) -> None:
    threads, labels, creators = corpus()
    given = dict(X=threads, y=labels, groups=creators) | change
    with pytest.raises(error, match=message):
        small(bert, epochs=1).fit(given.pop("X"), given.pop("y"), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(tune="half"), "expected one of: full, lora, frozen"),
        (dict(max_tokens=4_000), "reads at most 130 tokens"),
        (dict(layers=9), "expected 0"),
        (dict(calibration_share=1.0), "between 0 and 1"),
    ],
)
def test_parameters_are_checked(change: dict[str, Any], message: str, bert: Path) -> None:
    threads, labels, creators = corpus()
    with pytest.raises(ConfigError, match=message):
        small(bert, **change).fit(threads, labels, groups=creators)


NUMBERS = "it is given rows of numbers, and numbers are no threads"
EXPECTED_FAILURES = dict.fromkeys(
    [
        "check_fit_score_takes_y",
        "check_estimators_overwrite_params",
        "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
        "check_n_features_in_after_fitting",
        "check_positive_only_tag_during_fit",
        "check_estimators_dtypes",
        "check_sample_weights_pandas_series",
        "check_sample_weights_not_an_array",
        "check_sample_weights_list",
        "check_all_zero_sample_weights_error",
        "check_sample_weights_shape",
        "check_sample_weights_not_overwritten",
        "check_sample_weight_equivalence_on_dense_data",
        "check_complex_data",
        "check_dtype_object",
        "check_estimators_empty_data_messages",
        "check_pipeline_consistency",
        "check_estimators_nan_inf",
        "check_estimator_sparse_tag",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_classifier_data_not_an_array",
        "check_classifiers_one_label",
        "check_classifiers_one_label_sample_weights",
        "check_classifiers_classes",
        "check_classifiers_train",
        "check_classifiers_regression_target",
        "check_supervised_y_2d",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_fit2d_1sample",
        "check_fit2d_1feature",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
        "check_n_features_in",
        "check_fit2d_predict1d",
        "check_requires_y_none",
    ],
    NUMBERS,
)
"""Checks of scikit-learn that a classifier of threads cannot pass, and why."""


class OfNumbers(intimacy.IntimacyClassifier):
    """Says that it takes matrices: scikit-learn spares an honest classifier of objects nearly all
    of its checks."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


def test_the_contract_of_scikit_learn(bert: Path) -> None:
    from sklearn.exceptions import SkipTestWarning
    from sklearn.utils.estimator_checks import check_estimator

    with pytest.warns(SkipTestWarning):
        check_estimator(small(bert, epochs=1))
    results = check_estimator(
        OfNumbers(bert, epochs=1), expected_failed_checks=EXPECTED_FAILURES, on_skip=None
    )
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(EXPECTED_FAILURES)
    assert sum(r["status"] == "passed" for r in results) >= 16


def test_the_checks_that_need_threads(fitted: intimacy.IntimacyClassifier, bert: Path) -> None:
    """What scikit-learn checks with numbers, with threads."""
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    threads, labels, creators = corpus()
    scores, before = fitted.predict_proba(threads), dict(vars(fitted))
    turned = fitted.predict_proba(threads[::-1])[::-1]
    single = np.vstack([fitted.predict_proba([one]) for one in threads])
    np.testing.assert_allclose(turned, scores, atol=1e-5)
    np.testing.assert_allclose(single, scores, atol=1e-5)
    assert vars(fitted) == before
    again = clone(fitted)
    with pytest.raises(NotFittedError):
        again.predict(threads)
    assert again.fit(threads, labels, groups=creators) is again
    np.testing.assert_array_equal(again.predict_proba(threads), scores)
    assert again.get_params() == fitted.get_params()
    with pytest.raises(ConfigError, match="not all 0"):
        again.fit(threads, labels, sample_weight=[0.0] * len(threads))
