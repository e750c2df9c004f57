"""`latentctx videos` as a user types it."""

import json
from pathlib import Path

import pytest

from latentctx_agents.cli.main import main


def test_the_commands_build_list_and_draw(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LATENTCTX_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    main(["videos", "build", "push", "--clips", "2", "--workers", "1"])
    assert "2 clips of 30 frames" in capsys.readouterr().out
    main(["videos", "list"])
    assert "latentctx videos build push --clips 2 --seed 0" in capsys.readouterr().out
    main(["videos", "view", "push", "--out", str(tmp_path / "view"), "--clips", "2"])
    for path in capsys.readouterr().out.split():
        assert Path(path).read_bytes()[:4] in (b"\x89PNG", b"GIF8")
    index = json.loads((tmp_path / "videos" / "push" / "index.json").read_text())
    assert index["clips"] == 2
    with pytest.raises(SystemExit):
        main(["videos", "view", "other"])
    assert "holds no clips" in capsys.readouterr().err


def test_a_source_and_its_task_are_one_word(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with pytest.raises(SystemExit):
        main(["videos", "build", "meta-world:push-v3"])
    assert "latentctx data build latentctx/meta-world/push-expert-v0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["videos", "build", "bair", "--source", str(tmp_path)])
    assert "softmotion30_44k" in capsys.readouterr().err


def test_the_list_shows_what_is_not_finished_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LATENTCTX_CACHE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    main(["videos", "build", "push", "--clips", "1", "--path", str(tmp_path / "videos" / "small")])
    (tmp_path / "videos" / "killed").mkdir()
    (tmp_path / "videos" / "killed" / "build.json").write_text("{}")
    capsys.readouterr()
    main(["videos", "list"])
    rows = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.startswith("│")}
    assert "not finished" in rows["killed"] and "push --clips 1 --seed 0" in rows["small"]
