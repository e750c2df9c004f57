import csv

import numpy as np
import pytest

from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.probe import probe_error
from latentctx_agents.results import COLUMNS, Measurement, read_results, write_results
from latentctx_agents.stats import bootstrap_crossed_interval, bootstrap_interval, iqm, wilson_interval


def test_interquartile_mean_ignores_the_outer_quarters():
    assert iqm(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0])) == pytest.approx(3.5)


def test_interval_is_a_point_for_constant_values_and_holds_the_mean_otherwise():
    assert bootstrap_interval(np.ones((3, 4))) == (1.0, 1.0)
    values = np.random.default_rng(0).random((5, 20)) < 0.3
    low, high = bootstrap_interval(values.astype(float))
    assert low < values.mean() < high


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for index in range(20):
        low, high = bootstrap_interval(rng.normal(size=30), seed=index)
        hits += low < 0.0 < high
    assert hits >= 16


def test_the_interval_of_a_share_is_no_point_where_nothing_succeeded():
    assert wilson_interval(0, 2) == pytest.approx((0.0, 0.6576), abs=1e-4)  # z^2 / (n + z^2)
    assert wilson_interval(20, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    low, high = wilson_interval(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    for wrong in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="successes must be"):
            wilson_interval(*wrong)


def test_groups_widen_the_interval_when_they_differ():
    alike = np.tile([0.0, 1.0], (4, 10))
    apart = np.repeat([[0.0], [0.0], [1.0], [1.0]], 20, axis=1)
    width = [np.diff(bootstrap_interval(table))[0] for table in (alike, apart)]
    assert width[1] > 2 * width[0]


def crossed(table: np.ndarray, **options) -> tuple[float, float]:
    """The interval of a table of (seeds, goals)."""
    seeds, goals = np.indices(table.shape)
    return bootstrap_crossed_interval(
        table.ravel(), seeds.ravel().tolist(), goals.ravel().tolist(), **options
    )


def test_the_interval_of_one_seeds_shares_is_that_of_the_outcomes_behind_them():
    outcomes = np.random.default_rng(2).random((6, 40)) < np.linspace(0.2, 0.9, 6)[:, None]
    known = bootstrap_interval(outcomes.astype(float))
    assert crossed(outcomes.mean(axis=1)[None], episodes=40) == pytest.approx(known, abs=0.02)


def test_what_seeds_or_goals_share_widens_the_interval():
    apart = np.linspace(0.0, 1.0, 5)
    for table in (np.repeat(apart[None], 3, axis=0), np.repeat(apart[:, None], 3, axis=1)):
        independent = bootstrap_interval(table.ravel())
        width, narrow = np.diff(crossed(table))[0], np.diff(independent)[0]
        assert width > 1.4 * narrow
        np.testing.assert_allclose(width, np.diff(bootstrap_interval(apart))[0], rtol=0.05)


def test_combinations_may_be_missing_from_a_crossed_interval():
    low, high = bootstrap_crossed_interval(np.array([0.2, 0.4, 0.9]), [0, 0, 1], ["a", "b", "a"])
    assert 0.2 <= low < 0.5 < high <= 0.9


def test_crossed_intervals_cover_the_true_mean_where_independent_ones_do_not():
    rng, hits, narrow_hits = np.random.default_rng(5), 0, 0
    for index in range(30):
        table = rng.normal(size=(8, 1)) + rng.normal(size=(1, 8)) + 0.1 * rng.normal(size=(8, 8))
        low, high = crossed(table, seed=index)
        hits += low < 0.0 < high
        low, high = bootstrap_interval(table.ravel(), seed=index)
        narrow_hits += low < 0.0 < high
    assert hits >= 25 > narrow_hits


@pytest.mark.parametrize(("shares", "episodes"), [([1.2], 40), ([0.5], 0), ([float("nan")], 40)])
def test_impossible_shares_are_refused(shares, episodes, refuses):
    with refuses("shares must lie in [0, 1]"):
        crossed(np.array([shares]), episodes=episodes)


def test_empty_values_are_refused():
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_interval(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_crossed_interval(np.zeros(0), [], [])


def test_probe_reads_positions_from_features_that_hold_them_and_not_from_noise():
    rng = np.random.default_rng(0)
    positions = rng.uniform(-0.3, 0.3, (1200, 2)).astype(np.float32)
    informative = np.tanh(positions @ rng.normal(size=(2, 8)).astype(np.float32))
    noise = rng.normal(size=(1200, 8)).astype(np.float32)
    config = OptimizerConfig(steps=300, batch_size=128, learning_rate=1e-3)
    good, bad = (probe_error(x, positions, 200, config=config) for x in (informative, noise))
    assert good < 0.03 < 0.2 < bad


def test_probe_needs_rows_on_both_sides():
    with pytest.raises(ValueError, match="held_out"):
        probe_error(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32), 4)


def test_results_have_the_projects_columns_and_come_back(tmp_path):
    row = Measurement(
        study="s",
        world="w",
        dataset="d",
        method="m",
        setting={"demos": 2},
        seed=1,
        metric="success",
        value=0.5,
    )
    write_results(tmp_path / "r.csv", [row], command="latentctx demo")
    with (tmp_path / "r.csv").open() as stream:
        assert tuple(csv.DictReader(stream).fieldnames) == COLUMNS
    (back,) = read_results([tmp_path / "r.csv"])
    assert (back["setting"], back["seed"], back["value"], back["command"]) == (
        {"demos": 2}, 1, 0.5, "latentctx demo",
    )  # fmt: skip
    assert back["hardware"]
