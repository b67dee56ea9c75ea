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
from sklearn.pipeline import make_pipeline, make_union
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


def frozen(features: np.ndarray, task: Task, seed: int) -> Figures:
    """Figures of ridge regression on the states of an encoder.

    Its strength, and where yes begins, are chosen within each training part.
    """
    figures = []
    for train, test in task.parts(seed):
        # With a scoring, what sklearn keeps are the predictions for each text by the others.
        ridge = RidgeCV(
            np.logspace(1, 5, 9),
            alpha_per_target=True,
            scoring="neg_mean_squared_error",
            store_cv_results=True,
        )
        y = task.targets[train].astype(float)
        model = make_pipeline(StandardScaler(), ridge).fit(features[train], y)
        said = model.predict(features[test]).reshape(len(test), -1)
        cuts = None
        if not task.graded:
            chosen = [list(ridge.alphas).index(alpha) for alpha in ridge.alpha_]
            fair = [ridge.cv_results_[:, column, i] for column, i in enumerate(chosen)]
            cuts = best_cuts(y, np.stack(fair, 1))
        figures.append(task.figures(task.targets[test], said, cuts))
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


def tuned(
    encoder: Encoder, task: Task, seed: int, *, epochs: int, lr: float, device: str
) -> Figures:
    """Figures of the whole encoder trained on each training part, with one linear layer on top.

    Where yes is to be told from no, one text in ten is kept from training to choose the cut.
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
        model = encoder.make().train().to(device)
        head = torch.nn.Linear(model.config.hidden_size, task.targets.shape[1]).to(device)
        dropout = torch.nn.Dropout(0.1)
        targets = torch.tensor(task.targets, dtype=torch.float32)
        centre, spread = targets[train].mean(0), targets[train].std(0)
        goal = ((targets - centre) / spread if task.graded else targets).to(device)
        tokens = max(512, int(lengths[train].mean() * 32))
        plan = [train[b] for _ in range(epochs) for b in loop.cut(lengths[train], tokens, rng)]
        layers = [model.embeddings, *model.encoder.layer]
        groups = [
            {"params": list(layer.parameters()), "lr": rate, "peak": rate}
            for depth, layer in enumerate(reversed(layers))
            for rate in [lr * LAYER_DECAY**depth]
        ]
        groups.append({"params": list(head.parameters()), "lr": 1e-3, "peak": 1e-3})
        optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        weight = ((1 - centre) / centre.clamp(min=1e-3)).clamp(max=10).to(device)
        for step, rows in enumerate(plan):
            loop.set_rate(optimizer, (step + 1) / len(plan), 0.1)
            logits = head(dropout(states(model, [ids[i] for i in rows], pad)[-1]))
            if task.graded:
                loss = ((logits - goal[rows]) ** 2).mean()
            else:
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    logits, goal[rows], pos_weight=weight
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
                logits = head(states(model, [ids[i] for i in rows], pad)[-1])
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
    for encoder in found:
        if "frozen" in ways:
            vectors = {t.name: embed(encoder, t.texts, options.device) for t in todo}
            add(
                encoder.name,
                "frozen",
                lambda task, seed, vectors=vectors: frozen(vectors[task.name], task, seed),
            )
        if "tuned" in ways:
            add(
                encoder.name,
                "tuned",
                lambda task, seed, encoder=encoder: tuned(
                    encoder,
                    task,
                    seed,
                    epochs=options.epochs,
                    lr=options.lr,
                    device=options.device,
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
