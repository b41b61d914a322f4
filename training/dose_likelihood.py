"""Maximum likelihood of a dose curve from counts: `dose_curve` says what the curve is and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy

Floats = NDArray[np.float64]
STEEPEST = 20.0
"""A slope at which the curve goes from 10 to 90 % within a quarter of the dose: steeper ones are a step to any grid."""
_FEWEST_DOSES = 4
_STEPS, _STILL = 100, 3
"""Steps of the search at most, and steps without a gain in any draw after which it ends."""


def fit_counts(
    doses: Sequence[float], hits: Floats, trials: Floats, floor_hits: Floats, floor_trials: Floats
) -> Floats:
    """Maximum likelihood of floor, slope and middle, for many sets of counts at once, by damped Fisher scoring.

    Args:
        doses: D doses, 0 or more.
        hits: Dismissed of Alice at each dose, shape (B, D).
        trials: Alerts at each dose, shape (B, D); 0 says nothing.
        floor_hits: Dismissed of the twin, at all doses together, shape (B,).
        floor_trials: Alerts of the twin, shape (B,); they bind the floor.

    Returns:
        Floor, slope and middle as in `dose_curve.Curve`, shape (B, 3).

    Source: Finney 1971, Probit Analysis, chapter 7, for the joint fit of a curve and its natural response.
    Limits: takes alerts as independent and the curve as rising to 1. `check` says beforehand whether there is a curve
        to be found; a slope at its bound means that there was a step.
    """
    x = np.log1p(np.asarray(doses, float))
    lowest, highest = np.array([1e-4, 0.05, -1.0]), np.array([1 - 1e-4, STEEPEST, float(x.max()) + 5.0])
    share = hits / np.maximum(trials, 1)
    first_over = np.argmax((share >= 0.5) & (trials > 0), axis=1)  # 0 where none is
    floor = (floor_hits + 0.5) / (floor_trials + 1.0)
    theta: Floats = np.clip(np.stack([floor, np.full(len(hits), 2.0), x[first_over]], axis=1), lowest, highest)
    counts = (x, hits, trials, floor_hits, floor_trials)
    damping, best = np.full(len(hits), 1e-3), _log_likelihood(theta, *counts)
    still = 0
    for _ in range(_STEPS):
        score, information = _scores(theta, *counts)
        scale = information.diagonal(axis1=1, axis2=2) + 1e-9  # (B, 3)
        damped = information + (damping[:, None] * scale)[:, :, None] * np.eye(3)
        step = np.linalg.solve(damped, score[:, :, None])[:, :, 0]
        tried = np.clip(theta + step, lowest, highest)
        found = _log_likelihood(tried, *counts)
        better = found >= best
        gained = float(np.max(np.where(better, found - best, 0.0)))
        theta, best = np.where(better[:, None], tried, theta), np.where(better, found, best)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
        still = still + 1 if gained < 1e-7 else 0
        if still == _STILL:
            break
    return theta


def _parts(theta: Floats, x: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Floor, slope, middle as columns (B, 1); the logistic part and P(dismissed), shape (B, D)."""
    f, b, m = (theta[:, i : i + 1] for i in range(3))
    s = expit(b * (x - m))
    return f, b, m, s, np.clip(f + (1 - f) * s, 1e-12, 1 - 1e-12)


def _log_likelihood(theta: Floats, x: Floats, k: Floats, n: Floats, floor_k: Floats, floor_n: Floats) -> Floats:
    """Shape (B,)."""
    f, _, _, _, p = _parts(theta, x)
    of_alice: Floats = (xlogy(k, p) + xlogy(n - k, 1 - p)).sum(axis=1)
    of_twin: Floats = xlogy(floor_k, f[:, 0]) + xlogy(floor_n - floor_k, 1 - f[:, 0])
    return of_alice + of_twin


def _scores(theta: Floats, x: Floats, k: Floats, n: Floats, floor_k: Floats, floor_n: Floats) -> tuple[Floats, Floats]:
    """Gradient of the log likelihood, (B, 3), and the expected information, (B, 3, 3)."""
    f, b, m, s, p = _parts(theta, x)
    rise = (1 - f) * s * (1 - s)
    slopes = np.stack([1 - s, rise * (x - m), -rise * b], axis=2)  # dp / d(theta), (B, D, 3)
    spread = p * (1 - p)
    score = np.einsum("bd,bdi->bi", (k - n * p) / spread, slopes)
    information = np.einsum("bd,bdi,bdj->bij", n / spread, slopes, slopes)
    floor = f[:, 0]
    score[:, 0] += (floor_k - floor_n * floor) / (floor * (1 - floor))
    information[:, 0, 0] += floor_n / (floor * (1 - floor))
    return score, information


def check(doses: Sequence[int], hits: Floats, trials: Floats) -> str:
    """Why no curve can be fitted to these counts, or the empty string."""
    tried = trials > 0
    count = int(tried.sum())
    if count < _FEWEST_DOSES:
        return f"{count} doses are too few for a curve: it takes {_FEWEST_DOSES}"
    shares = hits[tried] / trials[tried]
    known = np.asarray(doses)[tried]
    if shares.max() < 0.5:
        return f"no dose up to {known[-1]} dismisses half: the most is {shares.max():.0%}"
    if shares.min() >= 0.5:
        return f"every dose from {known[0]} on dismisses half: nothing to see below"
    return ""
