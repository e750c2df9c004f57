"""Statistics of few runs: intervals and the interquartile mean."""

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np

RESAMPLES = 10_000


def iqm(values: np.ndarray) -> float:
    """Interquartile mean: the mean of the middle half of the values (any shape)."""
    numbers = np.asarray(values, dtype=np.float64).ravel()
    cut = int(0.25 * numbers.size)  # as scipy's trim_mean, whose import takes a second
    last = numbers.size - cut
    return float(np.partition(numbers, (cut, last - 1))[cut:last].mean())


def bootstrap_interval(values: np.ndarray, *, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over groups and the episodes within them.

    Args:
        values: (groups, episodes): groups (goals, seeds) are resampled, then the episodes of each drawn group;
            a 1-d array is one episode a group.
        confidence: share of the distribution between the two ends.
        seed: of the resampling.

    Raises:
        ValueError: no values, or a confidence outside (0, 1).
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.size == 0 or table.ndim != 2 or not 0.0 < confidence < 1.0:
        raise ValueError("values must be a non-empty (groups, episodes) array, confidence in (0, 1).")
    rng = np.random.default_rng(seed)
    groups, episodes = table.shape
    means = np.zeros(RESAMPLES)
    for _ in range(groups):  # one drawn group for every resample at a time: memory stays small
        rows = rng.integers(groups, size=RESAMPLES)
        columns = rng.integers(episodes, size=(RESAMPLES, episodes))
        means += table[rows[:, None], columns].mean(axis=1) / groups
    return _ends(means, confidence)


def wilson_interval(successes: int, episodes: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share of independent episodes; no point, even where none or all succeeded.

    Args:
        successes: how many of them.
        episodes: how many in all.
        confidence: share of such intervals that hold the true one.

    Raises:
        ValueError: there are no episodes, more successes than those, or a confidence outside (0, 1).
    """
    if not 0 <= successes <= episodes or not episodes or not 0.0 < confidence < 1.0:
        raise ValueError("successes must be 0 to episodes, which start at 1, and confidence in (0, 1).")
    share, z = successes / episodes, NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = share + z * z / (2 * episodes)
    half = z * ((share * (1 - share) + z * z / (4 * episodes)) / episodes) ** 0.5
    scale = 1 + z * z / episodes
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def bootstrap_crossed_interval(
    values: np.ndarray,
    seeds: Sequence[Hashable],
    goals: Sequence[Hashable],
    *,
    episodes: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds and goals, of which each seed meets each goal.

    All goals of a seed share what it trained, and all seeds share the goals: so both are drawn anew, and a value counts as
    often as its seed and its goal were drawn. Taking the values for independent gives intervals that are too narrow.

    Args:
        values: (n,), one for each seed and goal; combinations may be missing.
        seeds: (n,), of each value.
        goals: (n,), of each value.
        episodes: of each value, where these are shares of them: their outcomes are drawn anew, too. None for plain numbers.
        confidence: share of the distribution between the two ends.
        seed: of the resampling.

    Raises:
        ValueError: no values, shares outside [0, 1], no episodes, or a confidence outside (0, 1).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if (
        numbers.size == 0
        or not (numbers.shape == (len(seeds),) == (len(goals),))
        or not 0.0 < confidence < 1.0
    ):
        raise ValueError("values must be non-empty, each with a seed and a goal, confidence in (0, 1).")
    if episodes is not None and not (episodes >= 1 and np.all((numbers >= 0.0) & (numbers <= 1.0))):
        raise ValueError("shares must lie in [0, 1], and have at least 1 episode.")
    rng = np.random.default_rng(seed)
    weights = _drawn(seeds, rng) * _drawn(goals, rng)
    if episodes is not None:
        numbers = rng.binomial(episodes, np.broadcast_to(numbers, weights.shape)) / episodes
    total = weights.sum(axis=1)
    kept = total > 0  # where combinations are missing, a draw may hold none
    return _ends((weights * numbers).sum(axis=1)[kept] / total[kept], confidence)


def _drawn(labels: Sequence[Hashable], rng: np.random.Generator) -> np.ndarray:
    """How often each value's label is drawn, (RESAMPLES, n), when as many are drawn as there are different ones."""
    place = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    counts = rng.multinomial(len(place), np.full(len(place), 1.0 / len(place)), size=RESAMPLES)
    return counts[:, [place[label] for label in labels]]


def _ends(means: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)
