"""Publishing an encoder: half precision, a card that is true and whose code runs, and the commands around it."""

import dataclasses
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentctx_agents import pretrain, zoo, zoo_inputs
from latentctx_agents.cli import main
from latentctx_agents.results import Measurement, write_results
from latentctx_datasets import load, replay
from latentctx_envs.encoders import FrozenEncoder, load_encoder, registry, zoo_names
from latentctx_envs.encoders.registry import ZOO

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


@pytest.fixture(scope="module")
def published(pretrained, tmp_path_factory):
    """(the run's folder, the zoo's folder) with one published encoder."""
    folder, run = tmp_path_factory.mktemp("zoo"), pretrained[1].parent
    zoo.publish(run, "tiny-id", [results(folder / "results.csv")], zoo=folder)
    return run, folder


def results(path: Path, **changed: Any) -> Path:
    """Success of two methods with two seeds on two goals, ten episodes each."""
    rows = [
        Measurement(
            study="demo",
            world="LatentCtx-PointMass-v0",
            dataset="latentctx/point-mass/finetune-v0",
            method=method,
            setting={"demos": 3, "pretrain": pretrained, "goal": goal, "episodes": 10},
            seed=seed,
            metric="success",
            value=value + goal / 10,
        )
        for method, pretrained, value in (
            ("inverse_dynamics", 20, 0.5),
            ("inverse_dynamics", 7, 0.1),
            ("states", 0, 0.7),
        )
        for seed in (0, 1)
        for goal in (0, 1)
    ]
    write_results(path, [dataclasses.replace(row, **changed) for row in rows], command="latentctx demo")
    return path


def run_code_of(card: str) -> dict[str, Any]:
    """Execute the block of a card; its names."""
    names: dict[str, Any] = {}
    exec(re.sub("^    ", "", CODE.findall(card)[0], flags=re.MULTILINE), names)
    return names


def assert_wraps_its_world(card: str) -> None:
    env = run_code_of(card)["env"]
    observation, _ = env.reset(seed=0)
    features = observation["observation"] if isinstance(observation, dict) else observation
    assert env.observation_space.contains(observation) and np.ptp(features) > 0.0
    env.close()


def test_a_published_encoder_has_nearly_the_features_of_its_run(published):
    run, folder = published
    source, stored = FrozenEncoder(run / "encoder"), FrozenEncoder(folder / "tiny-id")
    dataset = load(source.module.training_record["dataset"])
    frames = np.concatenate(
        list(replay(dataset, pretrain.view_of(source.module), range(zoo_inputs.EPISODES)))
    )
    difference = float(np.abs(stored.encode(frames) - source.encode(frames)).max())
    facts = json.loads((folder / "tiny-id" / "config.json").read_text())["published"]
    assert 0.0 < difference < 0.003
    assert facts["max_difference"] == pytest.approx(difference, rel=0.01)
    assert facts["content_hash"] == stored.module.content_hash()
    assert stored.module.training_record == source.module.training_record


def test_the_card_names_data_command_precision_and_success_of_this_encoder_alone(published):
    run, folder = published
    card, record = zoo.card("tiny-id", folder), load_encoder(run / "encoder").training_record
    assert all(f"`{record[name]}`" in card for name in ("dataset", "dataset_hash", "command", "seed"))
    assert "stored as float16" in card and "latentctx demo" in card
    table = [line for line in card.splitlines() if "| 20 |" in line]  # episodes
    assert len(table) == 2
    assert table[0].startswith("| **inverse_dynamics** (this encoder) | demos 3, pretrain 20 | 0.55 |")
    assert table[1].startswith("| states | demos 3, pretrain 0 | 0.75 |")


def test_the_code_of_a_card_runs(published, monkeypatch):
    monkeypatch.setattr(registry, "ZOO", published[1])
    assert_wraps_its_world(zoo.card("tiny-id", published[1]))


def test_the_commands_publish_list_and_show(published, tmp_path, capsys):
    where = ["--zoo", str(tmp_path)]
    main(["encoders", "publish", str(published[0]), "mine", *where])
    assert capsys.readouterr().out.strip() == str(tmp_path / "mine")
    main(["encoders", "list", *where])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("mine", "32 x 32", "8"))
    main(["encoders", "show", "mine", *where])
    shown = capsys.readouterr().out
    assert shown.startswith("---") and "is not recorded" in shown


def test_publishing_again_replaces(published, tmp_path):
    for _ in range(2):
        zoo.publish(published[0], "twice", zoo=tmp_path)
    assert zoo_names(tmp_path) == ("twice",)
    assert [entry.success for entry in zoo.entries(tmp_path)] == [""]


@pytest.mark.parametrize("name", ["../mine", "Mine", "", "a b", "mine-"])
def test_names_that_are_no_folder_are_refused(name, published, tmp_path, refuses):
    with refuses("lower-case words with hyphens", repr(name)):
        zoo.publish(published[0], name, zoo=tmp_path / "zoo")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 5}, "with seed 0"),
        ({"world": "LatentCtx-PickPlace-v0"}, "in LatentCtx-PointMass-v0"),
        ({"method": "states"}, "'inverse_dynamics'"),
        ({"metric": "x"}, "no success"),
    ],
)
def test_results_of_other_encoders_are_refused(changed, words, published, tmp_path, refuses):
    with refuses(words, "not of this encoder"):
        zoo.publish(published[0], "mine", [results(tmp_path / "other.csv", **changed)], zoo=tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_unfinished_runs_are_refused(tmp_path, refuses):
    with refuses("no finished pretraining", "latentctx pretrain"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")


def test_encoders_without_a_record_are_refused(tiny_encoder, tmp_path, refuses):
    tiny_encoder.save_pretrained(tmp_path / "encoder")
    with refuses("does not say its config, dataset", "latentctx pretrain"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")


def test_encoders_that_are_too_large_are_refused(published, tmp_path, monkeypatch, refuses):
    monkeypatch.setattr(zoo, "LIMIT", 1000)
    with refuses("the limit is 1,000"):
        zoo.publish(published[0], "mine", zoo=tmp_path / "zoo")


def test_encoders_of_another_dataset_are_refused(published, tmp_path, refuses):
    encoder = load_encoder(published[0] / "encoder")
    record = {**encoder.training_record, "dataset_hash": "0" * 64}
    encoder.save_pretrained(tmp_path / "encoder", training=record)
    with refuses("not the one that the encoder saw", "000000000000"):
        zoo.publish(tmp_path, "mine", zoo=tmp_path / "zoo")


def test_an_unknown_card_names_those_that_there_are(published, tmp_path, refuses):
    with refuses("'mine'", "tiny-id"):
        zoo.card("mine", published[1])
    with refuses("none yet"):
        zoo.card("mine", tmp_path)


def test_the_largest_encoder_that_the_presets_train_fits_the_zoo():
    from latentctx_envs.encoders import ConvNet

    assert zoo.stored_bytes(ConvNet(pretrain.PAPER.encoder)) < 0.9 * zoo.LIMIT


@pytest.mark.parametrize("name", zoo_names())
def test_every_shipped_encoder_has_a_card_whose_code_runs_and_is_stored_in_half_precision(name):
    config = json.loads((ZOO / name / "config.json").read_text())
    assert config["weights"] == "float16"
    assert config["published"]["name"] == name
    assert config["published"]["content_hash"] == load_encoder(name).content_hash()
    card = zoo.card(name)
    assert config["training"]["dataset_hash"] in card and config["training"]["command"] in card
    assert sum(file.stat().st_size for file in (ZOO / name).iterdir()) <= zoo.LIMIT
    assert_wraps_its_world(card)


def test_the_files_of_the_zoo_are_package_data():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "latentctx_envs" in wheel["packages"] and not {"exclude", "only-include"} & set(wheel)
    assert ZOO.is_relative_to(ROOT / "latentctx_envs")
    files = [str(file) for file in ZOO.glob("*/*")]
    ignored = subprocess.run(["git", "-C", str(ROOT), "check-ignore", *files], capture_output=True, text=True)
    assert files and ignored.stdout == ""  # the build leaves out what git ignores


def test_rounding_the_mean_image_as_well_would_move_features_ten_times_as_much():
    encoder = load_encoder("point-mass-id")
    if not encoder.config.centred:
        pytest.skip("it has no mean image")
    dataset = load("latentctx/point-mass/expert-small-v0")
    frames = next(replay(dataset, pretrain.view_of(encoder), [0]))
    before = FrozenEncoder(encoder).encode(frames)
    encoder.center.copy_(encoder.center.half().float())
    moved = np.abs(FrozenEncoder(encoder).encode(frames) - before).max()
    published = json.loads((ZOO / "point-mass-id" / "config.json").read_text())["published"]
    assert moved > 10.0 * published["max_difference"]
