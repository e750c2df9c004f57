"""The study of arXiv 2305.16985 runs, resumes and adds to one CSV, cell by cell."""

import dataclasses

import pytest
import torch

from latentctx_agents.cells import task_of
from latentctx_agents.estimates import read_sections
from latentctx_agents.results import read_results
from latentctx_agents.studies import inverse_dynamics_grid as study
from latentctx_agents.studies.inverse_dynamics import rows_of as study_rows
from latentctx_agents.studies.inverse_dynamics import run_study
from latentctx_agents.studies.inverse_dynamics_grid import PRESETS, Arm, Grid, StudyConfig
from latentctx_datasets import collect
from latentctx_datasets.recipes import RECIPES
from latentctx_envs.encoders import ConvNet, load_encoder


@pytest.fixture
def tiny(tiny_pretrain):
    quick = StudyConfig()
    optimizer = dataclasses.replace(quick.finetune.optimizer, steps=5, batch_size=8)
    return dataclasses.replace(
        quick,
        pretrain_dataset=tiny_pretrain.dataset,
        pretrain=tiny_pretrain,
        finetune=dataclasses.replace(quick.finetune, optimizer=optimizer),
        probe=optimizer,
        goals=1,
        episodes=2,
        held_out=1,
    )


@pytest.mark.parametrize(
    ("preset", "demos", "contexts"),
    [("point-mass", 2, 1000), ("pick-place-paper", 5, 1000), ("ml45", 10, 1000), ("ml45-paper", 10, 10_000)],
)
def test_a_preset_runs_the_papers_usual_cells(preset, demos, contexts):
    grid = study.usual_grid(preset)
    assert (grid.demos, grid.contexts) == ((demos,), (contexts,))
    assert all(world.usual in world.demos for world in study.WORLDS.values())


def test_what_makes_no_difference_to_a_method_is_run_once():
    grid = Grid(contexts=(10, 100), n_step=(1, 2), goal_visible=(False, True), seeds=(0,))
    arms = grid.arms()
    count = {method: sum(arm.method == method for arm in arms) for method in grid.methods}
    assert count["inverse_dynamics"] == count["implicit_forward_dynamics"] == 2 * 2 * 2
    assert (
        count["behavior_cloning"]
        == count["explicit_forward_dynamics"]
        == count["static_contrastive"]
        == 2 * 2
    )
    assert count["random"] == count["scratch"] == 2
    assert count["states"] == count["expert"] == 1
    assert len({arm.name for arm in arms}) == len(arms)


def test_a_method_of_one_step_has_no_arm_of_several():
    assert [arm.method for arm in Grid(n_step=(5,), seeds=(0,)).arms()] == [
        "inverse_dynamics",
        "implicit_forward_dynamics",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("inverse",)}, "methods are"),
        ({"demos": ()}, "every axis"),
        ({"n_step": (0,)}, "start at 1"),
    ],
)
def test_what_is_no_cell_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Grid(**wrong)


def test_a_world_without_enough_contexts_is_refused(tmp_path):
    with pytest.raises(ValueError, match="1000 contexts to pretrain on; asked for 2000"):
        run_study(StudyConfig(), Grid(contexts=(2000,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_pretraining_set_is_named_in_the_rows_and_leaves_the_preset_its_name():
    config = dataclasses.replace(PRESETS["door"][1], pretrain_dataset="latentctx/door/expert-all-v0")
    assert config.preset == "quick"
    found = [{"metric": "success", "value": 0.5, "setting": {}}]
    rows = {arm.method: row for arm in Grid(seeds=(0,)).arms() for row in study_rows(config, arm, found)}
    assert rows["inverse_dynamics"].setting["pretrain_dataset"] == config.pretrain_dataset
    assert "pretrain_dataset" not in rows["states"].setting


@pytest.mark.slow
@pytest.mark.usefixtures("of_two_goals")
def test_the_study_grows_cell_by_cell_and_does_nothing_twice(tiny, tmp_path):
    first = Grid(methods=("inverse_dynamics", "states", "expert"), contexts=(20,), demos=(1,), seeds=(0,))
    file = run_study(tiny, first, tmp_path, workers=1)
    rows = read_results([file])
    success = {row["method"]: row["value"] for row in rows if row["metric"] == "success"}
    assert set(success) == {"inverse_dynamics", "states", "expert"}
    assert {row["metric"] for row in rows} == {"success", "clone_loss", "clone_loss_held_out"}
    encoder = (
        tmp_path
        / "encoders"
        / Arm(method="inverse_dynamics", contexts=20, n_step=1, goal_visible=False, seed=0).name
        / "encoder"
    )
    written = (encoder / "model.safetensors").stat().st_mtime_ns

    second = dataclasses.replace(
        first, methods=("inverse_dynamics", "scratch", "random"), demos=(1, 2), analyse=True
    )
    more = read_results([run_study(tiny, second, tmp_path, workers=1)])
    assert (encoder / "model.safetensors").stat().st_mtime_ns == written
    assert [row for row in more if row in rows] == rows
    shares = {row["method"]: row["value"] for row in more if row["metric"] == "position_unexplained"}
    assert set(shares) == {"inverse_dynamics", "random"}
    crossed = [
        (row["method"], row["setting"]["of"]) for row in more if row["metric"] == "features_unexplained"
    ]
    assert sorted(crossed) == [("inverse_dynamics", "random"), ("random", "inverse_dynamics")]
    (section,) = [found for found in read_sections([file], tmp_path) if found.metric == "success"]
    assert {(estimate.method, estimate.setting["demos"]) for estimate in section.estimates} >= {
        ("inverse_dynamics", 2),
        ("expert", 0),
    }
    assert section.of_method["inverse_dynamics"]["pretrain"] == 20
    assert section.fixed["n_step"] == 1 and section.fixed["goal_visible"] is False


@pytest.mark.usefixtures("of_two_goals")
def test_further_encoders_of_one_name_are_told_apart_by_their_weights(tiny, tmp_path, tiny_encoder_dir):
    folders = [tmp_path / name / "encoder" for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        torch.manual_seed(seed)
        ConvNet(load_encoder(str(tiny_encoder_dir)).config).save_pretrained(folder)
    for folder in folders:
        grid = Grid(methods=("expert",), encoders=(str(folder),), contexts=(20,), demos=(1,), seeds=(0,))
        file = run_study(tiny, grid, tmp_path / "run", workers=1)
    hashes = [load_encoder(str(folder)).content_hash()[:12] for folder in folders]
    rows = [row for row in read_results([file]) if row["method"] == "encoder" and row["metric"] == "success"]
    assert {row["setting"]["encoder_hash"] for row in rows} == set(hashes)


def test_random_networks_of_another_number_of_contexts_are_other_rows(tiny):
    def contexts(arm_contexts):
        arm = Arm.of("random", arm_contexts, 1, False, 0, arm_contexts)
        (row,) = study_rows(tiny, arm, [{"metric": "success", "value": 1.0, "setting": {}}])
        return row.setting["pretrain"]

    usual = tiny.pretrain.contexts
    assert contexts(usual) == contexts(1000) == 0 and contexts(usual + 1) == usual + 1


@pytest.mark.parametrize("world", study.WORLDS)
def test_every_world_names_datasets_that_can_be_built(world):
    found = study.WORLDS[world]
    assert [size for size, _ in found.pretrain] == sorted(size for size, _ in found.pretrain)
    assert {dataset for _, dataset in found.pretrain} | {found.finetune} <= set(RECIPES)
    group = RECIPES[found.finetune].group
    assert group is not None and group >= max(found.demos)
    assert StudyConfig(world=world).preset in ("quick", "custom")


@pytest.mark.slow
def test_finetuning_tasks_are_one_context_or_one_task(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.setattr("latentctx_datasets.recipes.meta_world.FINETUNE_EPISODES", 2)
    for dataset in ("latentctx/pick-place/finetune-v0", "latentctx/door/finetune-v0"):
        monkeypatch.setitem(RECIPES, dataset, dataclasses.replace(RECIPES[dataset], group=2))
        collect.build(dataset)
    pick = task_of("latentctx/pick-place/finetune-v0", 1)
    assert pick.env_id == "LatentCtx-PickPlace-v0"
    assert pick.context is not None
    assert pick.context != task_of("latentctx/pick-place/finetune-v0", 2).context
    door = task_of("latentctx/door/finetune-v0", 1)
    assert door == ("LatentCtx-MetaWorld-v0", {"task": "door-lock-v3"}, None)
