"""`latentctx data view | to-npz | from-npz`, and the list's states."""

import shutil
from dataclasses import replace

import minari
import pytest

from latentctx_agents.cli import main
from latentctx_datasets import RECIPES, collect
from latentctx_datasets.demonstrators import locomotion

TINY = "latentctx/cheetah/tiny-v0"


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> str:
    """Two short random episodes of the cheetah in a Minari folder of the test's own."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    recipe = RECIPES["latentctx/cheetah/random-v0"]
    few = [plan for plan, _ in zip(recipe.plans(), range(2), strict=False)]
    own = replace(recipe, id=TINY, env_kwargs={"max_episode_steps": 4}, plans=lambda: iter(few))
    monkeypatch.setitem(RECIPES, TINY, own)
    collect.build(TINY)
    return TINY


def test_view_prints_the_pictures_it_wrote(tiny, tmp_path, capsys):
    main(["data", "view", tiny, "--out", str(tmp_path / "view"), "--episodes", "2", "--image-size", "16"])
    printed = capsys.readouterr().out.split()
    assert printed == [f"{tmp_path}/view/latentctx-cheetah-tiny-v0{end}" for end in (".png", "-run.gif")]
    assert sorted(printed) == sorted(str(path) for path in (tmp_path / "view").iterdir())


def test_npz_files_are_written_and_read(tiny, tmp_path, capsys):
    main(["data", "to-npz", tiny, "--out", str(tmp_path / "npz"), "--episodes", "1"])
    words = ["--env-id", "LatentCtx-CheetahRun-v0", "--author", "somebody"]
    main(["data", "from-npz", str(tmp_path / "npz"), "mine/run-v0", *words])
    assert "1 trajectories" in capsys.readouterr().out
    assert (minari.load_dataset("mine/run-v0")[0].actions == minari.load_dataset(tiny)[0].actions).all()


def test_list_tells_what_waits_for_a_demonstrator(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locomotion, "WEIGHTS", tmp_path)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: (200, 50))
    main(["data", "list"])
    states = {}
    for line in capsys.readouterr().out.splitlines():
        cells = [cell.strip() for cell in line.split("│")]
        if len(cells) > 3 and cells[1]:
            states[cells[1]] = cells[2]
    assert states[tiny] == "built"
    assert states["latentctx/cheetah/random-v0"] == "recipe"
    assert states["latentctx/cheetah/flip-backward-replay-v0"] == "untrained"
    assert states["latentctx/walker/mix-v0"] == "untrained"
