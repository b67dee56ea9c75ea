"""Encoders on Italian posts: ``python benchmarks/encoder_probes.py --corpora PATH ENCODER…``.

Tasks: MINT tweet intimacy (SemEval-2023 Task 9; Pearson r), SENTIPOLC 2016 (macro-F1 of four
yes-or-no questions), MultiEmotions-It (polarity and eight emotions) and IronITA (irony), the last
two by 5-fold cross-validation. Every encoder twice: frozen, with a linear probe on the mean-pooled
states of all its layers, and fine-tuned whole. Baselines of the same run: TF-IDF of words and
characters, random weights of the first encoder's shape and, where ``--english`` names it, the
English model that the encoder started from. Settings are chosen on training parts alone; the test
parts of MINT and SENTIPOLC are touched only with ``--final``, once for every encoder that is
shipped; else both are cross-validated on their training parts. Mean and spread over three seeds.

Where yes begins decides much of a macro-F1, so every way is given twice: with a cut chosen within
the training part, and with yes at 0.5. For the cut of a tuned encoder one text in ten of the
training part is kept from training, of either figure.

An encoder that has learnt scores (``data/scores``) has learnt them from a language model that was
shown some tweets of MINT's training part with what people gave them. ``--shown`` names the file of
their hashes; cross-validation tests on none of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm
from transformers import AutoConfig, AutoModel, AutoTokenizer

from intimacy import corpus
from intimacy.training import corpora, loop

EMOTIONS = (
    "gioia", "fiducia", "tristezza", "rabbia", "paura", "disgusto", "sorpresa", "trepidazione",
)  # fmt: skip
FOLDS = 5
Parts = Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]]
"""From a seed to the rows of each training part and its test part."""
Figures = dict[str, np.ndarray]
"""From how yes was told from no to the figure of every column of a task."""
GRADED, CHOSEN, HALF = "", "cut chosen", "yes at 0.5"
MAX_TOKENS = 96
LAYER_DECAY = 0.9
"""A layer learns at this fraction of the rate of the one above it."""


@dataclass(frozen=True)
class Task:
    """Texts with targets, (texts, columns), and the parts to train and to test on."""

    name: str
    columns: tuple[str, ...]
    texts: list[str]
    targets: np.ndarray
    parts: Parts

    @property
    def graded(self) -> bool:
        """Whether the target is a score rather than yes or no."""
        return self.name == "mint"

    def figures(self, truth: np.ndarray, said: np.ndarray, cuts: np.ndarray | None) -> Figures:
        """Pearson r, or the macro-F1 of each column with yes above its cut and above 0.5."""
        if cuts is None:
            return {GRADED: np.array([np.corrcoef(truth[:, 0], said[:, 0])[0, 1]])}

        def macro_f1(at: np.ndarray) -> np.ndarray:
            columns = zip(truth.T, said.T, at, strict=True)
            return np.array([f1_score(t, s > cut, average="macro") for t, s, cut in columns])

        return {CHOSEN: macro_f1(cuts), HALF: macro_f1(np.full(len(cuts), 0.5))}


def folds(n: int, untested: Collection[int] = ()) -> Parts:
    def parts(seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(np.arange(n)):
            yield train, np.setdiff1d(test, list(untested))

    return parts


def held_out(train: int, test: int) -> Parts:
    return lambda seed: iter([(np.arange(train), np.arange(train, train + test))])


def divided(
    train: Path, test: Path, *, final: bool, shown: Collection[str] = ()
) -> tuple[list[dict], Parts]:
    """Records of a task with a test part, and how they are divided.

    Texts of the test part never stand in the training part too. Those of ``shown`` (their hashes)
    are not tested on in cross-validation.
    """
    tested = list(corpora.lines(test))
    texts = {row["text"] for row in tested}
    rows = [row for row in corpora.lines(train) if row["text"] not in texts]
    if not final:
        untested = [i for i, row in enumerate(rows) if corpus.text_hash([row["text"]]) in shown]
        return rows, folds(len(rows), untested)
    return rows + tested, held_out(len(rows), len(tested))


def tasks(folder: Path, final: bool, shown: Collection[str] = ()) -> list[Task]:
    social = folder / "social"
    out = []
    files = (folder / "probes" / f"mint_it_{part}.jsonl" for part in ("train", "test"))
    rows, parts = divided(*files, final=final, shown=shown)
    scores = np.array([[row["intimacy"]] for row in rows])
    out.append(Task("mint", ("r",), [row["text"] for row in rows], scores, parts))
    names = ("opos", "oneg", "subj", "iro")
    files = (social / f"sentipolc16_{part}.jsonl.xz" for part in ("train", "test"))
    rows, parts = divided(*files, final=final)
    targets = np.array([[int(row[name]) for name in names] for row in rows])
    out.append(Task("sentipolc", names, [row["text"] for row in rows], targets, parts))
    names = ("pos", "neg", *EMOTIONS)
    rows = list(corpora.lines(social / "multiemotions_it.jsonl.xz"))
    rows = [row for row in rows if set(names) <= set(row)]  # a few have no annotation
    targets = np.array([[int(row[name]) for name in names] for row in rows])
    texts = [row["text"] for row in rows]
    out.append(Task("multiemotions", names, texts, targets, folds(len(rows))))
    rows = list(corpora.lines(social / "ironita18.jsonl.xz"))
    targets = np.array([[int(float(row["irony"]))] for row in rows])
    out.append(Task("ironita", ("irony",), [r["text"] for r in rows], targets, folds(len(rows))))
    return out


# -- linear


def mean(figures: list[Figures]) -> Figures:
    """Over the parts of a task."""
    return {cut: np.mean([part[cut] for part in figures], 0) for cut in figures[0]}


def best_cut(truth: np.ndarray, said: np.ndarray) -> float:
    """Where yes begins for the best macro-F1."""
    cuts = np.quantile(said, np.linspace(0.02, 0.98, 97))
    return float(max(cuts, key=lambda cut: f1_score(truth, said > cut, average="macro")))


def best_cuts(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The best cut of every column."""
    return np.array([best_cut(t, s) for t, s in zip(truth.T, said.T, strict=True)])


def tfidf(task: Task, seed: int) -> Figures:
    """Figures of words and characters under a linear model, its strength chosen within training."""
    figures = []
    for train, test in task.parts(seed):
        features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True),
        )
        known = features.fit_transform([task.texts[i] for i in train])
        new = features.transform([task.texts[i] for i in test])
        said, fair = [], []
        for y in task.targets[train].T:
            if task.graded:
                search = GridSearchCV(Ridge(), {"alpha": [0.3, 1, 3, 10]}, cv=3)
                said.append(search.fit(known, y).predict(new))
            else:
                model = LogisticRegression(solver="liblinear", class_weight="balanced")
                search = GridSearchCV(model, {"C": [0.3, 3, 30]}, cv=3, scoring="f1_macro")
                said.append(search.fit(known, y).predict_proba(new)[:, 1])
                best = search.best_estimator_
                fair.append(cross_val_predict(best, known, y, cv=3, method="predict_proba")[:, 1])
        cuts = best_cuts(task.targets[train], np.stack(fair, 1)) if fair else None
        figures.append(task.figures(task.targets[test], np.stack(said, 1), cuts))
    return mean(figures)


@dataclass(frozen=True)
class Probe:
    """Ridge regression on the states of an encoder, its strength chosen by leaving one out."""

    weights: np.ndarray
    """(columns, width)."""
    bias: np.ndarray
    """(columns,)."""
    fair: np.ndarray
    """What is said of each text by the others, (texts, columns)."""

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> Probe:
        # With a scoring, what sklearn keeps are the predictions for each text by the others.
        ridge = RidgeCV(
            np.logspace(1, 5, 9),
            alpha_per_target=True,
            scoring="neg_mean_squared_error",
            store_cv_results=True,
        )
        scale = StandardScaler()
        ridge.fit(scale.fit_transform(features), targets)
        chosen = [list(ridge.alphas).index(alpha) for alpha in np.atleast_1d(ridge.alpha_)]
        fair = [ridge.cv_results_[:, column, i] for column, i in enumerate(chosen)]
        weights = np.atleast_2d(ridge.coef_) / scale.scale_
        return cls(weights, ridge.intercept_ - weights @ scale.mean_, np.stack(fair, 1))

    def say(self, features: np.ndarray) -> np.ndarray:
        return features @ self.weights.T + self.bias

    def logistic(self, targets: np.ndarray) -> Probe:
        """The same as logits, yes weighing as much as no."""
        model = LogisticRegression(class_weight="balanced")
        lines = [
            model.fit(fair[:, None], truth).coef_[0].tolist() + model.intercept_.tolist()
            for fair, truth in zip(self.fair.T, targets.T, strict=True)
        ]
        slope, offset = np.array(lines).T
        return Probe(
            self.weights * slope[:, None], self.bias * slope + offset, self.fair * slope + offset
        )


def frozen(features: np.ndarray, task: Task, seed: int) -> Figures:
    """Figures of a linear probe; where yes begins is chosen within each training part."""
    figures = []
    for train, test in task.parts(seed):
        y = task.targets[train].astype(float)
        probe = Probe.fit(features[train], y)
        cuts = None if task.graded else best_cuts(y, probe.fair)
        figures.append(task.figures(task.targets[test], probe.say(features[test]), cuts))
    return mean(figures)


# -- encoders


@dataclass
class Encoder:
    """A way to get a fresh copy of a model, and its tokenizer."""

    name: str
    make: Callable[[], torch.nn.Module]
    tokenizer: object

    @classmethod
    def open(cls, path: Path) -> Encoder:
        def make() -> torch.nn.Module:
            return AutoModel.from_pretrained(path, dtype=torch.float32, add_pooling_layer=False)

        return cls(path.name, make, AutoTokenizer.from_pretrained(path))

    @classmethod
    def random(cls, path: Path) -> Encoder:
        def make() -> torch.nn.Module:
            torch.manual_seed(0)
            config = AutoConfig.from_pretrained(path)
            return AutoModel.from_config(config, dtype=torch.float32, add_pooling_layer=False)

        return cls(f"{path.name}, random weights", make, AutoTokenizer.from_pretrained(path))

    def ids(self, texts: list[str]) -> list[list[int]]:
        tokenizer = self.tokenizer
        tokenizer.backend_tokenizer.no_padding()
        return tokenizer(texts, truncation=True, max_length=MAX_TOKENS, padding=False)["input_ids"]


def states(model: torch.nn.Module, ids: list[list[int]], pad: int) -> list[torch.Tensor]:
    """Mean-pooled states of every layer, (batch, width) each."""
    device = next(model.parameters()).device
    tokens, mask = (t.to(device) for t in loop.padded(ids, pad))
    with loop.half_precision(device):
        hidden = model(tokens, mask, output_hidden_states=True).hidden_states
    return [loop.mean_pool(layer.float(), mask) for layer in hidden]


@torch.inference_mode()
def embed(encoder: Encoder, texts: list[str], device: str) -> np.ndarray:
    """Mean-pooled states of all layers side by side."""
    model = encoder.make().eval().to(device)
    ids = encoder.ids(texts)
    out: np.ndarray | None = None
    lengths = np.array([len(row) for row in ids])
    for rows in loop.cut(lengths, 4_096, np.random.default_rng(0)):
        found = states(model, [ids[i] for i in rows], encoder.tokenizer.pad_token_id)
        found = torch.cat(found, 1).cpu().numpy()
        if out is None:
            out = np.zeros((len(ids), found.shape[1]), np.float32)
        out[rows] = found
    return out


@dataclass(frozen=True)
class Tuning:
    """How a whole encoder is trained on a task."""

    epochs: int
    lr: float
    """Of the top layer; the one below learns at `LAYER_DECAY` of it, and so on."""
    from_probe: bool
    """Start from the linear probe of the frozen encoder, on the states of all its layers (Kumar et
    al. 2022, arXiv:2202.10054), instead of a fresh layer on those of the last."""
    device: str


class Tuned(torch.nn.Module):
    """An encoder with one linear layer on top."""

    def __init__(self, encoder: torch.nn.Module, columns: int, probe: Probe | None) -> None:
        super().__init__()
        self.encoder, self.all_layers = encoder, probe is not None
        self.dropout = torch.nn.Dropout(0.0 if probe else 0.1)
        if probe is None:
            self.head = torch.nn.Linear(encoder.config.hidden_size, columns)
        else:
            self.head = torch.nn.Linear(probe.weights.shape[1], columns)
            with torch.no_grad():
                self.head.weight.copy_(torch.from_numpy(probe.weights))
                self.head.bias.copy_(torch.from_numpy(probe.bias))

    def forward(self, ids: list[list[int]], pad: int) -> torch.Tensor:
        found = states(self.encoder, ids, pad)
        return self.head(self.dropout(torch.cat(found, 1) if self.all_layers else found[-1]))

    def optimizer(self, how: Tuning) -> torch.optim.Optimizer:
        layers = [self.encoder.embeddings, *self.encoder.encoder.layer]
        rates = [how.lr * LAYER_DECAY**depth for depth in range(len(layers))]
        rates.append(how.lr if how.from_probe else 1e-3)
        parts = [*reversed(layers), self.head]
        groups = [
            {"params": list(part.parameters()), "lr": rate, "peak": rate}
            for part, rate in zip(parts, rates, strict=True)
        ]
        return torch.optim.AdamW(groups, weight_decay=0.01)


def tuned(
    encoder: Encoder, features: np.ndarray | None, task: Task, seed: int, how: Tuning
) -> Figures:
    """Figures of the whole encoder trained on each training part.

    Where yes is to be told from no, one text in ten is kept from training to choose the cut.

    Args:
        encoder: What is trained.
        features: Its states before, where the head starts from a probe of them.
        task: What on.
        seed: Of the parts, the order and the dropout.
        how: Settings.
    """
    ids = encoder.ids(task.texts)
    pad = encoder.tokenizer.pad_token_id
    lengths = np.array([len(row) for row in ids])
    figures = []
    for train, test in task.parts(seed):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        kept = np.empty(0, int)
        if not task.graded:
            kept, train = np.split(rng.permutation(train), [len(train) // 10])
        centre, spread = task.targets[train].mean(0), task.targets[train].std(0)
        goal = (task.targets - centre) / spread if task.graded else task.targets
        probe = None
        if features is not None:
            probe = Probe.fit(features[train], goal[train].astype(float))
            probe = probe if task.graded else probe.logistic(goal[train])
        model = Tuned(encoder.make(), goal.shape[1], probe).train().to(how.device)
        tokens = max(512, int(lengths[train].mean() * 32))
        plan = [train[b] for _ in range(how.epochs) for b in loop.cut(lengths[train], tokens, rng)]
        optimizer = model.optimizer(how)
        goals = torch.tensor(goal, dtype=torch.float32, device=how.device)
        weight = np.minimum((1 - centre) / np.maximum(centre, 1e-3), 10)
        balance = torch.tensor(weight, dtype=torch.float32, device=how.device)
        for step, rows in enumerate(plan):
            loop.set_rate(optimizer, (step + 1) / len(plan), 0.1)
            logits = model([ids[i] for i in rows], pad)
            if task.graded:
                loss = ((logits - goals[rows]) ** 2).mean()
            else:
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    logits, goals[rows], pos_weight=balance
                )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        said = np.zeros(task.targets.shape)
        asked = np.concatenate([kept, test])
        with torch.inference_mode():
            for part in loop.cut(lengths[asked], 4_096, rng):
                rows = asked[part]
                logits = model([ids[i] for i in rows], pad)
                said[rows] = (logits if task.graded else logits.sigmoid()).cpu().numpy()
        cuts = None if task.graded else best_cuts(task.targets[kept], said[kept])
        figures.append(task.figures(task.targets[test], said[test], cuts))
    return mean(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", type=Path, nargs="*", help="encoder folders")
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--shown", type=Path, help="hashes of tweets not to be tested on")
    parser.add_argument("--english", type=Path, help="the English model, as another baseline")
    parser.add_argument("--task", action="append", help="only these tasks")
    parser.add_argument("--way", action="append", help="only frozen, or only tuned")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument(
        "--from-probe", action="store_true", help="tuning starts from the probe of the frozen one"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--final", action="store_true", help="use the test parts of MINT and SENTIPOLC"
    )
    options = parser.parse_args()
    ways = options.way or ["frozen", "tuned"]
    shown = options.shown.read_text("utf-8").split() if options.shown else []
    known = tasks(options.corpora, options.final, shown)
    todo = [task for task in known if task.name in (options.task or [task.name])]
    found = [Encoder.open(path) for path in options.encoders]
    if options.encoders and not options.no_baselines:
        found.append(Encoder.random(options.encoders[0]))
    if options.english:
        found.append(Encoder.open(options.english))
    lines = []

    def add(name: str, way: str, figures: Callable[[Task, int], Figures]) -> None:
        for task in tqdm(todo, desc=f"{name}, {way}", file=sys.stderr):
            started = time.monotonic()
            seeds = [figures(task, seed) for seed in range(options.seeds)]
            for cut, i in itertools.product(seeds[0], range(len(task.columns))):
                values = [float(seed[cut][i]) for seed in seeds]
                record = {"model": name, "way": way, "task": task.name, "column": task.columns[i]}
                record["cut"] = cut
                record["mean"] = round(statistics.fmean(values), 4)
                record["spread"] = round(statistics.pstdev(values), 4)
                record["seconds"] = round(time.monotonic() - started, 1)
                lines.append(record)
                print(json.dumps(record, ensure_ascii=False), flush=True)

    if not options.no_baselines:
        add("TF-IDF", "linear", tfidf)
    how = Tuning(options.epochs, options.lr, options.from_probe, options.device)
    for encoder in found:
        vectors: dict[str, np.ndarray] = {}
        if "frozen" in ways or how.from_probe:
            vectors = {t.name: embed(encoder, t.texts, options.device) for t in todo}
        if "frozen" in ways:
            add(
                encoder.name,
                "frozen",
                lambda task, seed, vectors=vectors: frozen(vectors[task.name], task, seed),
            )
        if "tuned" in ways:
            starts = vectors if how.from_probe else {}
            add(
                encoder.name,
                "tuned",
                lambda task, seed, encoder=encoder, starts=starts: tuned(
                    encoder, starts.get(task.name), task, seed, how
                ),
            )
    columns = [f"{t.name} {c}" for t in todo for c in t.columns]
    print("\n| | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for model, way in dict.fromkeys((line["model"], line["way"]) for line in lines):
        mine = [line for line in lines if (line["model"], line["way"]) == (model, way)]
        # A score has no cut: it stands in the first row.
        for cuts in ({GRADED, CHOSEN}, {HALF}):
            cells = {
                f"{r['task']} {r['column']}": f"{r['mean']:.3f} ± {r['spread']:.3f}"
                for r in mine
                if r["cut"] in cuts
            }
            if cells:
                row = " | ".join(cells.get(c, "") for c in columns)
                print(f"| {model}, {way}, {max(cuts)} | {row} |")


if __name__ == "__main__":
    main()
