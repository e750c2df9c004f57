"""The study of AIME runs, resumes and adds to one CSV, cell by cell."""

import dataclasses
from pathlib import Path

import pytest

from latentctx_agents.aime.baselines import BaselineConfig
from latentctx_agents.aime.regression import RegressionConfig
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.results import read_results
from latentctx_agents.studies.aime import body_set, measure_of, run_study, shown
from latentctx_agents.studies.aime_grid import METHODS, PRESETS, AimeGrid, AimeStudyConfig
from latentctx_datasets import DatasetError
from latentctx_envs.encoders.latent.config import QUICK

RESULTS = Path(__file__).parents[2] / "agents" / "results" / "aime" / "walker"
FEW = OptimizerConfig(
    steps=4, batch_size=4, learning_rate=1e-3, weight_decay=0.0, schedule="constant", clip=100.0, log_every=2
)


@pytest.fixture
def tiny():
    quick = AimeStudyConfig()
    fit = RegressionConfig(batch_size=16, least_epochs=0, least_steps=0, most_steps=10, check_every=5)
    return dataclasses.replace(
        quick,
        world_model=dataclasses.replace(
            quick.world_model,
            model=dataclasses.replace(QUICK, deter=8, stoch=2, hidden=(8, 8)),
            length=5,
            optimizer=FEW,
        ),
        imitation=dataclasses.replace(quick.imitation, hidden=(8, 8), length=5, optimizer=FEW),
        baselines=BaselineConfig(body=fit, demonstrations=fit),
        episodes=2,
    )


def test_what_is_known_of_the_body_is_learned_once_and_cloning_knows_nothing():
    grid = AimeGrid(sets=("random", "mix"), methods=METHODS, observed=("state",), seeds=(0,))
    arms = grid.arms("walker")
    assert len(arms) == 2 * (len(METHODS) - 1) + 1
    folders = {arm.knowledge for arm in arms if arm.method.startswith("aime")}
    assert folders == {"world-model-random-state-seed0", "world-model-mix-state-seed0"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("gail",)}, "methods are aime"),
        ({"observed": ("mdp",)}, "observed are state"),
        ({"demos": (0,)}, "start at 1"),
    ],
)
def test_what_is_no_cell_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        AimeGrid(**wrong)


def test_the_exploration_set_is_asked_for_by_the_command_that_collects_it(tmp_path):
    grid = AimeGrid(sets=("plan2explore",), observed=("state",), methods=("bco",))
    with pytest.raises(
        DatasetError, match="latentctx dreamer explore --task walker-stand --dataset latentctx/walker/plan2"
    ):
        run_study(AimeStudyConfig(), grid, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert "plan2explore" not in {arm.set for arm in AimeGrid().arms("walker")}


def test_sets_and_tasks_of_another_body_are_refused():
    with pytest.raises(ValueError, match="tasks of the walker are stand, walk, run; got flip"):
        AimeGrid(tasks=("flip",)).arms("walker")
    with pytest.raises(ValueError, match="sets of the cheetah are random"):
        AimeGrid(sets=("mix",)).arms("cheetah")


def test_noisy_data_are_the_walkers_alone_and_keep_the_papers_names_of_sets():
    config = AimeStudyConfig(noisy=True)
    sets = [body_set(config, name) for name in ("random", "run-replay", "mix")]
    assert sets == [f"latentctx/walker/{name}-v0" for name in ("random", "run-noisy-replay", "noisy-mix")]
    assert shown(config, "run") == "latentctx/walker/run-noisy-expert-v0"
    assert measure_of(config, "run") == shown(AimeStudyConfig(), "run") == "latentctx/walker/run-expert-v0"
    with pytest.raises(ValueError, match="the cheetah has none"):
        AimeStudyConfig(body="cheetah", noisy=True)


def test_presets_have_the_papers_model_for_each_body():
    assert PRESETS["walker-paper"][1].world_model.model.stoch == 128
    assert PRESETS["cheetah-paper"][1].world_model.model.stoch == 30
    assert PRESETS["cheetah-paper"][1].preset == "paper"


@pytest.mark.slow
def test_the_study_grows_cell_by_cell_and_does_nothing_twice(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr("latentctx_datasets.recipes.locomotion.EPISODES", 4)
    first = AimeGrid(
        sets=("random",), tasks=("stand",), observed=("position",), methods=("aime", "bco"), demos=(2,)
    )
    file = run_study(tiny, first, tmp_path / "run", workers=1)
    rows = read_results([file])
    shares = {row["method"]: row["value"] for row in rows if row["metric"] == "expert_share"}
    assert shares.keys() == {"aime", "bco"} and all(0 < share < 1 for share in shares.values())
    assert all(row["setting"]["preset"] == "custom" for row in rows)
    measured = {row["metric"] for row in rows if row["method"] == "aime"}
    bounds = {"evidence", "true_evidence", "elbo", "true_elbo"}
    assert measured == {"return", "return_std", "expert_share", "action_error", *bounds}
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.safetensors")}
    more = dataclasses.replace(first, methods=("aime", "aime_idm", "iidm", "behavior_cloning"))
    again = read_results([run_study(tiny, more, tmp_path / "run", workers=1)])
    assert {row["method"] for row in again} == {"aime", "bco", "aime_idm", "iidm", "behavior_cloning"}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    kept = [row["value"] for row in again if row["method"] in ("aime", "bco")]
    assert kept == [row["value"] for row in rows]


COMMANDS = sorted({row["command"] for row in read_results([RESULTS / "256-mix.csv"])})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_larger_preset_is_what_the_results_were_run_with(command):
    words = command.split()
    said = {
        name: words[at + 1 :]
        for at, name in enumerate(words)
        if name.startswith(("--world-model", "--imitation"))
    }
    long, larger = PRESETS["walker-long"][1], PRESETS["walker-larger"][1]
    model = dataclasses.replace(
        long.world_model.model,
        deter=int(said["--world-model.model.deter"][0]),
        stoch=int(said["--world-model.model.stoch"][0]),
        hidden=tuple(map(int, said["--world-model.model.hidden"][:2])),
    )
    optimizer = dataclasses.replace(
        long.imitation.optimizer, steps=int(said["--imitation.optimizer.steps"][0])
    )
    assert words[:4] == ["latentctx", "study", "aime", "walker-long"]
    assert larger == dataclasses.replace(
        long,
        world_model=dataclasses.replace(long.world_model, model=model),
        imitation=dataclasses.replace(long.imitation, optimizer=optimizer),
    )
