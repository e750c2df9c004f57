"""Statistics of few runs: bootstrap intervals and the interquartile mean."""

import numpy as np
from scipy.stats import trim_mean

RESAMPLES = 10_000


def iqm(values: np.ndarray) -> float:
    """Interquartile mean: the mean of the middle half of the values (any shape)."""
    return float(trim_mean(np.asarray(values, dtype=np.float64).ravel(), 0.25))


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


def bootstrap_share_interval(
    shares: np.ndarray, episodes: int, *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """`bootstrap_interval` of outcomes of which only their shares are known, as binomial draws.

    Args:
        shares: (groups,): share of each group's episodes that succeeded, in [0, 1].
        episodes: number of each group's episodes.
        confidence: share of the distribution between the two ends.
        seed: of the resampling.

    Raises:
        ValueError: no shares, shares outside [0, 1], no episodes, or a confidence outside (0, 1).
    """
    values = np.asarray(shares, dtype=np.float64)
    within = bool(np.all((values >= 0.0) & (values <= 1.0)))
    if values.size == 0 or values.ndim != 1 or not within or episodes < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(
            "shares must be a non-empty array in [0, 1], episodes at least 1, confidence in (0, 1)."
        )
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return _ends(rng.binomial(episodes, drawn).mean(axis=1) / episodes, confidence)


def _ends(means: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)
