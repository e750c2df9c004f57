import ast
import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from latentctx_agents.cli import main
from latentctx_agents.cli.main import COMMANDS, RESUMED
from latentctx_agents.cli.study_commands import STUDIES
from latentctx_agents.policy_folder import FinetunedPolicy
from latentctx_agents.results import COLUMNS
from latentctx_agents.studies import demo
from latentctx_envs.encoders import ConvNet

SMALL = "latentctx/point-mass/expert-small-v0"


@pytest.fixture(scope="module")
def finished(tiny_demo, two_goals, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "run"
    with two_goals():
        return demo.run_demo(tiny_demo, folder, workers=1), folder


@pytest.mark.slow
def test_the_demo_writes_its_summary_report_figures_and_results(finished):
    summary, folder = finished
    assert summary == json.loads((folder / "summary.json").read_text())
    methods = {"inverse_dynamics", "behavior_cloning", "scratch", "states", "expert"}
    assert set(summary["success"]) == set(summary["ci95"]) == methods
    assert summary["preset"] == "custom"
    assert summary["seconds"]["total"] > 0
    for name in ("success.png", "learning.png", "probe.png"):
        with Image.open(folder / name) as figure:
            assert figure.width > 400
    with Image.open(folder / "rollouts.gif") as film:
        assert film.n_frames > 10
    page = (folder / "report.html").read_text()
    assert page.count("data:image/") == 4
    with (folder / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 5 * 2 + 3


@pytest.mark.slow
@pytest.mark.usefixtures("of_two_goals")
def test_a_resumed_demo_repeats_nothing_and_gives_the_same_numbers(finished, tiny_demo):
    summary, folder = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}
    (folder / "summary.json").unlink()  # as if it had been killed just before its end
    again = demo.run_demo(tiny_demo, folder, workers=1)
    assert again["success"] == summary["success"]
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


@pytest.mark.slow
def test_a_finished_demo_is_read_and_its_results_keep_their_commit(finished, tiny_demo):
    _, folder = finished
    files = [folder / "results.csv", folder / "summary.json", folder / "versions.json"]
    before = [file.stat().st_mtime_ns for file in files]
    assert demo.run_demo(tiny_demo, folder, workers=1) == json.loads((folder / "summary.json").read_text())
    assert before == [file.stat().st_mtime_ns for file in files]


@pytest.mark.slow
def test_a_demo_of_another_config_is_refused(finished, tiny_demo):
    with pytest.raises(ValueError, match="another config"):
        demo.run_demo(dataclasses.replace(tiny_demo, seed=5), finished[1], workers=1)


def test_the_seed_of_a_demo_reaches_pretraining_and_finetuning():
    config = dataclasses.replace(demo.QUICK, seed=7)
    assert config.pretrain.seed == config.finetune.seed == 7
    assert config.preset == "quick"
    assert dataclasses.replace(config, goals=6).preset == "custom"


def test_all_methods_share_encoder_shape_steps_and_evaluation(tiny_demo, tmp_path):
    made = demo.cells_of(tiny_demo, tmp_path, demo.LEARNERS)
    assert {cell.finetune for cell in made} == {tiny_demo.finetune}
    assert {cell.episodes for cell in made} == {tiny_demo.episodes}
    assert {cell.view for cell in made} == {tiny_demo.pretrain.view}


def run_cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "latentctx_agents.cli", *words], capture_output=True, text=True, timeout=120
    )


def test_usage_names_every_command(capsys):
    main([])
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_explains_it(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"latentctx {name}" in capsys.readouterr().out


def test_an_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dance"])
    assert stop.value.code == 2
    assert "choose from" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["data", "view", SMALL, "--out"], ["videos", "build", "push", "--clips", "1", "--path"]]
)
def test_a_file_in_the_place_of_a_folder_is_told(words, tmp_path, capsys):
    (tmp_path / "file").write_text("keep")
    with pytest.raises(SystemExit) as stop:
        main([*words, str(tmp_path / "file")])
    assert stop.value.code == 1
    assert f"{tmp_path / 'file'} is a file where a folder is wanted" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "keep"


def test_without_the_extra_a_command_names_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "pip install 'latentctx-envs[agents]'" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_error():
    """As in `latentctx data list | head`."""
    listing = [sys.executable, "-m", "latentctx_agents.cli", "data", "list"]
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "build", "latentctx/point-mass/expert-v0"], "starts anew"),
        (["study", "floors"], "starts anew"),
        (["study", "aime", "walker-quick"], "continues where it was"),
        (["pretrain", "quick"], "continues where it was"),
        (["pvdr", "judge"], "starts anew"),
    ],
)
def test_a_stopped_command_tells_whether_it_goes_on(words, said, monkeypatch, capsys):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, words[0], (stopped, ""))
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 130
    assert f"stopped; the same command {said}." in capsys.readouterr().err


def test_what_is_said_to_go_on_exists():
    for words in RESUMED:
        name, *rest = (words,) if isinstance(words, str) else words
        assert name in COMMANDS
        known = {"study": STUDIES, "data": ("export-videos",), "videos": ("build",), "pvdr": ("pretrain",)}
        assert not rest or rest[0] in known.get(name, ("train",))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "info", "../x"], "a dataset id looks like"),
        (["data", "info", "latentctx/none/none-v0"], "no recipe is called"),
        (["data", "build", "latentctx/none/none-v0"], "no recipe"),
        (["envs", "LatentCtx-Nowhere-v0"], "no world"),
        (["evaluate", "nowhere"], "is no policy"),
        (["report", "nowhere"], "`latentctx demo` and `latentctx study NAME` make some"),
        (["finetune", "--encoder", "nowhere"], "no encoder 'nowhere'"),
        (["pretrain", "quick", "--contexts", "0"], "contexts must be"),
        (["finetune", "--goal", "99"], "has goals 0 to 19; got 99"),
        (["finetune", "--goal", "-1"], "has goals 0 to 19; got -1"),
        (["finetune", "--dataset", "latentctx/point-mass/expert-small-v0"], "is no goal-by-goal dataset"),
        (["finetune", "--scratch"], "--scratch needs --encoder"),
        (["videos", "build", "play", "--tasks", "nope-v3"], "got nope-v3"),
        (["imitate", "quick", "--episodes", "0"], "episodes must be at least 1"),
        (["aime-online", "quick", "--measured", "0"], "measured must be at least 1"),
        (["aime-online", "quick", "--imitation.seed", "9"], "say seed=9"),
        (["study", "goal-rl", "--decisions", "60", "--learning-starts", "100"], "nothing would be learned"),
        (["study", "pvdr", "--tasks", "nope"], "got nope"),
        (["study", "pvdr", "--seeds", "-1"], "seed lies in 0 to"),
        (["study", "pvdr", "--online.seed", "3"], "say --tasks and --seeds"),
        (["study", "pvdr", "--online.first-steps", "-2", "2"], "first_steps start at 0"),
        (["pvdr", "act", "--agent", "x", "--by", "straight", "--plans", "7"], "--plans is of --by plans"),
        (["pvdr", "act", "--agent", "x", "--films", "3"], "--films is of --by imagined"),
        (["pvdr", "act", "--agent", "x", "--results", str(Path(__file__))], "is no results CSV"),
        (["pvdr", "judge", "--results", str(Path(__file__).parent)], "is no results CSV"),
    ],
)
def test_errors_are_one_line_without_traceback(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_comments_of_options_stand_where_help_finds_them(capsys):
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    assert "directory, zoo name or hub id" in capsys.readouterr().out
    lost = []  # in or behind an option that takes several lines
    for file in Path(demo.__file__).parents[1].rglob("*.py"):
        lines = file.read_text().splitlines()
        classes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef)]
        options = [
            node for c in classes if c.decorator_list for node in c.body if isinstance(node, ast.AnnAssign)
        ]
        long = [node for node in options if node.end_lineno > node.lineno]
        lost += [lines[n.lineno - 1] for n in long if "  # " in "".join(lines[n.lineno - 1 : n.end_lineno])]
    assert not lost


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_done(tmp_path, capsys):
    file, folder = tmp_path / "file", tmp_path / "folder.gif"
    file.write_text("keep")
    folder.mkdir()
    below = file / "deep" / "file"
    in_file, in_folder = f"{file} is a file where a folder is wanted", f"{folder} is a folder: name a file"
    cases = [
        (["evaluate", "x", "--gif", below.with_suffix(".gif")], in_file),
        (["evaluate", "x", "--gif", folder], in_folder),
        (["pvdr", "judge", "--picture", below.with_suffix(".png")], in_file),
        (["pvdr", "judge", "--picture", tmp_path / "a.mp4"], "is drawn is written as a .png"),
        (["pvdr", "judge", "--results", below], in_file),
        (["pvdr", "act", "--agent", "x", "--picture", below.with_suffix(".png")], in_file),
        (["pvdr", "distances", "--results", below], in_file),
        (["demonstrator", "evaluate", "walker-run", "--results", file], "is no results CSV"),
        (["study", "floors", "--out", file], "is no results CSV"),
        (["study", "scripted", "--out", below], in_file),
        (["study", "goal-rl", "--out", below], in_file),
        (["study", "theory", "--images", file], in_file),
        (["data", "build", "latentctx/point-mass/expert-v0", "--card", file], in_file),
        (["finetune", "--out", below], in_file),
        (["world-model", "quick", "--out", below], in_file),
        (["report", "x", "--out", folder], in_folder),
    ]
    for words, said in cases:
        with pytest.raises(SystemExit):
            main([str(word) for word in words])
        assert said in capsys.readouterr().err, words
    assert file.read_text() == "keep"


def test_an_encoder_that_is_not_there_is_refused_before_demonstrations_are_built(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    with pytest.raises(SystemExit):
        main(["finetune", "--encoder", "nowhere"])
    assert not (tmp_path / "minari").exists()


def test_data_commands_build_show_and_verify(capsys):
    main(["data", "build", SMALL])
    main(["data", "info", SMALL])
    main(["data", "verify", SMALL])
    main(["data", "list"])
    printed = capsys.readouterr().out
    assert "is whole" in printed
    assert "content_hash" in printed


def test_envs_lists_and_describes_the_worlds(capsys):
    main(["envs"])
    main(["envs", "LatentCtx-PointMass-v0"])
    printed = capsys.readouterr().out
    assert "LatentCtx-PointMass-v0" in printed
    assert "PointMassContext" in printed


def test_doctor_names_the_rendering_backend(capsys):
    main(["doctor"])
    assert "rendering:" in capsys.readouterr().out


def test_without_any_gl_the_command_fails_with_the_packages_to_install(monkeypatch, capsys):
    from latentctx_envs import doctor, rendering

    def none(*_):
        raise rendering.RenderingUnavailableError(f"no OpenGL backend works. Run: {rendering.APT_LINE}")

    monkeypatch.setattr(doctor, "render_once", none)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 1
    assert "apt-get install" in capsys.readouterr().err


@pytest.mark.parametrize("scratch", [[], ["--scratch"]])
def test_finetune_loads_its_encoder_once(scratch, pretrained, tmp_path, monkeypatch):
    loaded, load = [], ConvNet.from_pretrained
    monkeypatch.setattr(ConvNet, "from_pretrained", lambda folder, **_: loaded.append(folder) or load(folder))
    few = ["--optimizer.steps", "2", "--demos", "1", "--out", str(tmp_path / "policy")]
    main(["finetune", "--encoder", str(pretrained[1]), *scratch, *few])
    assert len(loaded) == 1
    FinetunedPolicy.load(tmp_path / "policy")
    assert len(loaded) == 2


@pytest.mark.slow
def test_finetune_and_evaluate_from_the_command_line(pretrained, tmp_path, capsys):
    few = ["--optimizer.steps", "5", "--demos", "1", "--out", str(tmp_path / "policy")]
    main(["finetune", "--encoder", str(pretrained[1]), "--goal", "2", *few])
    main(["evaluate", str(tmp_path / "policy"), "--episodes", "3"])
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["episodes"] == 3
    assert facts["method"] == "inverse_dynamics"


def test_the_module_runs_as_a_program():
    done = run_cli("data", "info", "/etc")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
