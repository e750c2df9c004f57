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
