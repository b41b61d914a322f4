"""How hard the rows are without a language model: one token, one field, one tool, and TF-IDF on the whole prompt.

    python benchmarks/difficulty.py [--out docs/results/difficulty.json]

Everything is chosen on the training rows (the word, its direction, the weights, C) and scored on rows of other worlds:
the clean test (same families) and unseen families, with everything gathered. Accuracies are shares of rows with
Wilson's 95 % interval; the two truths are about equally frequent.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline, make_union

from turncoat.models.metrics import Rate, balanced_accuracy
from turncoat.models.prompt import CUE, INSTRUCTION, render
from turncoat.training.config import load_recipe
from turncoat.training.corpus import Row
from turncoat.training.sets import draw_tests, training_rows

TEST_ROWS = 1_000
WORDS = r"[^\s,():]+"
LEAST_SUPPORT = 0.01
COSTS = (1.0, 10.0)


def texts(rows: Sequence[Row]) -> list[str]:
    """Prompts without instruction and cue, which are the same in all rows."""
    whole = [render(row.case, lambda text: len(text.split())).text for row in rows]
    return [text.removeprefix(INSTRUCTION).removesuffix(CUE).strip() for text in whole]


def truths(rows: Sequence[Row]) -> np.ndarray:
    """Truth of each row, shape (N,), bool."""
    return np.array([row.truth for row in rows])


def scored(truth: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """Accuracy with n and interval, and balanced accuracy."""
    rate = Rate.of([bool(hit) for hit in truth == said])
    low, high = rate.interval() or (None, None)
    return {
        "accuracy": rate.value,
        "low": low,
        "high": high,
        "n": rate.n,
        "balanced_accuracy": balanced_accuracy(truth.tolist(), said.tolist()),
    }


def best_token(train: Sequence[Row], tests: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """The word whose presence alone tells most, by balanced accuracy on the training rows; any word of at least 1 %."""
    counter = CountVectorizer(token_pattern=WORDS, lowercase=False, binary=True)
    present, truth = counter.fit_transform(texts(train)), truths(train)
    support = np.asarray(present.mean(axis=0)).ravel()
    gap = np.asarray(present[truth].mean(axis=0) - present[~truth].mean(axis=0)).ravel()  # recall on either side
    gap[(support < LEAST_SUPPORT) | (support > 1 - LEAST_SUPPORT)] = 0.0
    order = np.argsort(-np.abs(gap))[:5]
    words = counter.get_feature_names_out()
    found = {"token": words[order[0]], "means": "malicious" if gap[order[0]] > 0 else "benign",
             "train_balanced_accuracy": float(0.5 + abs(gap[order[0]]) / 2),
             "runners_up": {words[i]: float(0.5 + abs(gap[i]) / 2) for i in order[1:]}}  # fmt: skip
    for name, rows in tests.items():
        there = np.asarray(counter.transform(texts(rows))[:, order[0]].todense()).ravel() > 0
        found[name] = scored(truths(rows), there if gap[order[0]] > 0 else ~there)
    return found


def line(text: str, field: str) -> str | None:
    """The value of one line of a prompt."""
    return next((at.partition(": ")[2] for at in text.split("\n") if at.startswith(f"{field}: ")), None)


def single_lines(train: Sequence[Row], tests: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """TF-IDF + logistic regression on one line alone, for each field and tool; rows without that line do not count."""
    shown = {"train": texts(train), **{name: texts(rows) for name, rows in tests.items()}}
    truth = {"train": truths(train), **{name: truths(rows) for name, rows in tests.items()}}
    fields = sorted({at.partition(": ")[0] for text in shown["train"] for at in text.split("\n")})
    found = {}
    for field in fields:
        values = {name: [line(text, field) for text in of] for name, of in shown.items()}
        model = make_pipeline(
            TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2)), LogisticRegression(C=10.0, max_iter=1_000)
        )
        have = {name: np.array([value is not None for value in of]) for name, of in values.items()}
        words = {name: [value for value in of if value is not None] for name, of in values.items()}
        model.fit(words["train"], truth["train"][have["train"]])
        found[field] = {name: scored(truth[name][have[name]], model.predict(words[name])) for name in tests}
    return found


def whole_prompts(train: Sequence[Row], tests: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """TF-IDF of words and characters + logistic regression, C chosen by five-fold cross-validation on training rows."""
    union = make_union(
        TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        TfidfVectorizer(analyzer="char", ngram_range=(3, 5), sublinear_tf=True, min_df=2, dtype=np.float32),
    )
    seen, truth = union.fit_transform(texts(train)).tocsr(), truths(train)  # vocabulary and idf know no label
    folds = {c: float(cross_val_score(_regression(c), seen, truth, cv=5).mean()) for c in COSTS}
    cost = max(folds, key=lambda c: folds[c])
    model = _regression(cost).fit(seen, truth)
    found: dict[str, Any] = {"C": cost, "cross_validated_accuracy": {str(c): value for c, value in folds.items()}}
    for name, rows in tests.items():
        found[name] = scored(truths(rows), model.predict(union.transform(texts(rows))))
    return found


def _regression(cost: float) -> LogisticRegression:
    return LogisticRegression(C=cost, max_iter=1_000, solver="liblinear")


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results/difficulty.json"))
    out = parser.parse_args().out
    started = time.process_time()
    train, _ = training_rows(load_recipe("clean"))
    sets = draw_tests(size=TEST_ROWS)
    tests = {"clean": sets.clean, "unseen": sets.unseen}
    lines = single_lines(train, tests)
    found = {
        "training_rows": len(train),
        "best_token": best_token(train, tests),
        "lines": lines,
        "best_line": {name: max(lines, key=lambda field: lines[field][name]["accuracy"]) for name in tests},
        "tfidf": whole_prompts(train, tests),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name in tests:
        field = found["best_line"][name]
        print(f"{name}: token {found['best_token'][name]['accuracy']:.3f}, line {field} "
              f"{lines[field][name]['accuracy']:.3f} (n={lines[field][name]['n']}), "
              f"TF-IDF {found['tfidf'][name]['accuracy']:.3f}")  # fmt: skip
    print(f"{time.process_time() - started:.0f} s of processor time; written to {out}")


if __name__ == "__main__":
    main()
