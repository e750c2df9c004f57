"""PPO on a walker without speeds: learning curves of real training, small, from each kind of observation."""

import numpy as np
import pytest

from latentctx_agents.cli import main
from latentctx_agents.demonstrators import DemonstratorConfig
from latentctx_agents.results import read_results
from latentctx_agents.studies.filter_rl import METHODS, FilterRLConfig, learn, make_env
from latentctx_envs.encoders import load_encoder

PPO = DemonstratorConfig(
    task="walker-walk", decisions=64, num_envs=2, horizon=16, batch_size=16, epochs=1, hidden=(8, 8),
    episode_steps=5,
)  # fmt: skip


def few(method, **changes):
    return FilterRLConfig(method=method, ppo=PPO, evaluate_every=32, episodes=2, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_begins_before_training_and_ends_after_it(method):
    heard = []
    rows = learn(few(method), heard.append)
    assert heard == rows == learn(few(method))  # one seed, one curve
    assert [row.setting["done"] for row in rows] == [0, 32, 64]
    assert {(row.method, row.metric, row.seed) for row in rows} == {(method, "return", 0)}
    assert all(0.0 < row.value <= 10.0 for row in rows)  # five decisions of two control steps


def test_methods_differ_in_what_is_seen_of_the_same_episodes():
    encoder = load_encoder("walker-rssm")
    seen, rewards = {}, {}
    for method in METHODS:
        venv = make_env(few(method), encoder, 2)
        venv.seed(5)
        seen[method] = venv.reset()
        _, rewards[method], _, _ = venv.step(np.full((2, 6), 0.5, np.float32))
        venv.close()
    sizes = {method: observation.shape[1] for method, observation in seen.items()}
    assert sizes == {"positions": 15, "stacked": 60, "features": 160, "states": 24}
    assert np.array_equal(seen["stacked"][:, -15:], seen["positions"])
    assert np.array_equal(seen["states"][:, :15], seen["positions"])
    assert all(np.array_equal(found, rewards["states"]) for found in rewards.values())


def test_the_study_writes_its_curve(tmp_path, capsys):
    out = tmp_path / "curve.csv"
    words = [
        "--ppo.decisions=32",
        "--ppo.num-envs=2",
        "--ppo.horizon=16",
        "--ppo.epochs=1",
        "--ppo.episode-steps=4",
    ]
    main(["study", "filter-rl", *words, "--evaluate-every=32", "--episodes=2", "--out", str(out)])
    assert "32 decisions: return" in capsys.readouterr().out
    assert [row["setting"]["done"] for row in read_results([out])] == [0, 32]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"method": "oracle"}, ("positions, stacked, features, states", "'oracle'")),
        ({"episodes": 0}, ("episodes start at 1", "0")),
        ({"evaluate_every": 1000}, ("multiple", "4096", "1000")),
    ],
)
def test_impossible_settings_are_refused(kwargs, words, refuses):
    with refuses(*words):
        FilterRLConfig(**kwargs)
