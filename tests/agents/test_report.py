"""A report shows every number with its interval and command, draws it, and is one file that asks for nothing."""

import json
import math
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from headless import MISSING, browser, headless
from PIL import Image

from latentctx_agents import plots
from latentctx_agents.cli import main
from latentctx_agents.estimates import read_sections
from latentctx_agents.report import write_report
from latentctx_agents.results import COLUMNS, Measurement, read_results, write_results
from latentctx_agents.runs import git_commit, hardware

RESULTS = Path(__file__).parents[2] / "agents" / "results"
WORLD = "LatentCtx-PointMass-v0"
VOID = ("meta", "link", "img", "br")


class Reader(HTMLParser):
    """Text and tags of a page; unbalanced tags are an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags, self.rows, self._open = [], [], [], []
        self.feed(page)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self._open and any(tag in self._open for tag in ("td", "th")):
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return "".join(self.words)


def row(method="inverse_dynamics", value=0.5, *, seed=0, metric="success", study="demo", **setting):
    return Measurement(
        study=study, world=WORLD, dataset="latentctx/a/b-v0", method=method, setting=setting, seed=seed,
        metric=metric, value=value,
    )  # fmt: skip


def read(source: Path) -> Reader:
    return Reader(write_report(source).read_text())


@pytest.fixture
def demo(tmp_path):
    """Two seeds of two goals, in a file each, as `latentctx demo` writes them."""
    for seed in (0, 1):
        rows = [
            row(method, value - 0.1 * seed - 0.2 * goal, seed=seed, demos=3, goal=goal, episodes=40)
            for method, value in (("expert", 1.0), ("inverse_dynamics", 0.75))
            for goal in (0, 1)
        ]
        write_results(tmp_path / f"seed{seed}.csv", rows, command=f"latentctx demo --seed {seed}")
    return tmp_path


def test_a_row_is_the_mean_over_goals_and_seeds_beside_the_expert(demo):
    head, ours, expert = read(demo).rows
    assert head == ["method", "mean", "95 % interval", "IQM", "of the expert", "seeds", "goals", "command"]
    assert ours[:2] == ["inverse dynamics", "0.60"]
    assert ours[3:] == ["0.60", "0.71", "2", "2", "1, 2"]
    assert expert[:2] == ["expert (ceiling)", "0.85"]
    low, high = json.loads(ours[2])
    assert low < 0.6 < high


def test_each_command_is_listed_once_with_commit_and_hardware_and_linked_from_its_rows(demo):
    page = read(demo)
    assert page.text.count("latentctx demo --seed 1") == 1
    assert [item["id"] for item in page.all("li")] == ["command-1", "command-2"]
    targets = {link["href"] for link in page.all("a")}
    assert targets == {"#command-1", "#command-2"}
    assert f"commit {git_commit() or 'not recorded'}, {hardware()}" in page.text


def test_kinds_of_goals_are_told_apart_where_goals_have_no_numbers(tmp_path):
    rows = [
        row(value=value, study="pvdr-act", goal=goal) for goal, value in (("picture", 0.1), ("film", 0.9))
    ]
    write_results(tmp_path / "act.csv", rows)
    (section,) = read_sections([tmp_path / "act.csv"], tmp_path)
    assert {e.setting["goal"]: (e.mean, e.goals) for e in section.estimates} == {
        "picture": (0.1, 0),
        "film": (0.9, 0),
    }


def test_two_processes_add_to_one_csv(tmp_path):
    code = (
        "import sys, pathlib; from latentctx_agents import results as r; r.git_commit = lambda: ''\n"
        "for k in range(20): r.add_results(pathlib.Path(sys.argv[1]), [r.Measurement(study='s', world='w', "
        "dataset='d', method='m', setting={'k': k}, seed=int(sys.argv[2]), metric='x', value=0.5)])"
    )
    file = tmp_path / "results.csv"
    adding = [subprocess.Popen([sys.executable, "-c", code, str(file), str(seed)]) for seed in (0, 1)]
    assert [process.wait(timeout=120) for process in adding] == [0, 0]
    assert len(read_results([file])) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_what_never_varies_is_said_once_and_goals_and_seeds_are_no_columns(demo):
    page = read(demo)
    assert "The same in every row: demos 3, episodes 40, dataset latentctx/a/b-v0." in page.text


def test_a_demo_keeps_its_text_its_pictures_and_the_intervals_that_it_printed(demo):
    summary = {"success": {}, "ci95": {"inverse_dynamics": [0.111, 0.999], "expert": [0.5, 1.0]}}
    (demo / "summary.json").write_text(json.dumps(summary))
    (demo / "config.json").write_text(
        '{"pretrain": {"contexts": 1000}, "finetune": {"demos": 3}, "a": "<b>"}'
    )
    Image.new("RGB", (640, 360), "white").save(demo / "success.png")
    page = read(demo)
    assert "Learning to reach goals that nobody shows" in page.text
    assert "[0.11, 1.00]" in page.text
    assert '"a": "<b>"' in page.text
    (picture,) = page.all("img")
    assert picture["src"].startswith("data:image/png")
    assert (picture["width"], picture["height"]) == ("640", "360")


def test_nothing_of_a_csv_or_a_file_name_becomes_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    rows = [row(evil, 0.5, metric=evil, study=evil, **{evil: value}) for value in (evil, "&amp;")]
    write_results(tmp_path / "r.csv", rows, command=f"latentctx {evil} 'a' & b")
    Image.new("RGB", (8, 8)).save(tmp_path / "<b onclick=x>.png")
    (tmp_path / "config.json").write_text(json.dumps({"a": evil}))
    page = read(tmp_path)
    assert not page.all("script")
    assert not page.all("b")
    assert f"latentctx {evil} 'a' & b" in page.text
    assert any("&amp;" in cells for cells in page.rows)


def test_a_page_forbids_the_network_fits_a_phone_and_describes_its_pictures(demo):
    page = read(demo)
    meta = page.all("meta")
    (policy,) = [m["content"] for m in meta if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert any(m.get("name") == "viewport" for m in meta)
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(picture["alt"]) > 10 for picture in page.all("img"))
    assert "as bars. inverse dynamics: 0.60" in page.all("img")[0]["alt"]


def test_a_page_is_the_same_when_it_is_written_again(demo):
    assert write_report(demo).read_bytes() == write_report(demo).read_bytes()


def test_numeric_settings_become_lines_beside_what_they_are_nothing_to(tmp_path):
    rows = [row("expert", 0.9, demos=1, pretrain=0), row("scratch", 0.2, demos=1, pretrain=0)]
    rows += [row("scratch", 0.3, demos=5, pretrain=0)]
    rows += [row(value=0.5, demos=demos, pretrain=pretrain) for demos in (1, 5) for pretrain in (10, 100)]
    write_results(tmp_path / "r.csv", rows)
    alternatives = [picture["alt"] for picture in read(tmp_path).all("img")]
    lines = "lines of inverse dynamics, scratch pixels, expert (ceiling)."
    start = f"Success in {WORLD} (demo) over"
    assert alternatives == [
        f"{start} demos (pretrain 10): {lines}",
        f"{start} demos (pretrain 100): {lines}",
        f"{start} pretrain (demos 1): {lines}",
        f"{start} pretrain (demos 5): {lines}",
    ]


def test_a_setting_that_goes_with_the_method_is_no_column(tmp_path):
    rows = [row("ours", done=done, encoder="a/b") for done in (0, 10)]
    write_results(tmp_path / "r.csv", [*rows, row("theirs", done=0, encoder=None)])
    page = read(tmp_path)
    assert page.rows[0][:3] == ["method", "done", "mean"]
    assert "ours: encoder a/b." in page.text


def test_two_values_of_the_same_measurement_are_told_apart_by_their_file(tmp_path):
    for name, value in (("new/r.csv", 0.8), ("old/r.csv", 0.2), ("copy/r.csv", 0.8)):
        write_results(tmp_path / name, [row(value=value)])
    (section,) = read_sections(sorted(tmp_path.rglob("*.csv")), tmp_path)
    found = {estimate.setting["file"]: estimate.mean for estimate in section.estimates}
    assert found == {"new": 0.8, "old": 0.2, "copy": 0.8}


def test_a_repeated_row_counts_once(tmp_path):
    for name in ("a.csv", "b.csv"):
        write_results(tmp_path / name, [row(value=0.5), row(value=0.7, seed=1)])
    (section,) = read_sections(sorted(tmp_path.rglob("*.csv")), tmp_path)
    (estimate,) = section.estimates
    assert (estimate.count, estimate.seeds, estimate.mean) == (2, 2, pytest.approx(0.6))


def test_one_number_has_no_interval_and_no_number_has_no_digits(tmp_path):
    rows = [row(value=488.7081, metric="return"), row("random", math.nan, metric="return")]
    write_results(tmp_path / "r.csv", rows)
    assert read(tmp_path).rows == [
        ["method", "mean", "seeds", "command"],
        ["inverse dynamics", "488.7", "1", "1"],
        ["random encoder", "-", "1", "1"],
    ]


def test_a_single_csv_gets_its_page_beside_it_without_the_pictures_of_its_folder(demo):
    Image.new("RGB", (8, 8)).save(demo / "other.png")
    path = write_report(demo / "seed0.csv")
    assert path == demo / "seed0.html"
    assert "other.png" not in path.read_text()


def test_films_and_figures_come_along_and_a_broken_one_is_named(demo):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    (demo / "films").mkdir()
    frames[0].save(demo / "films" / "rollouts.gif", save_all=True, append_images=frames[1:])
    (demo / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    page = read(demo)
    assert "films/rollouts.gif" in page.text
    assert "torn.png: not a readable picture, left out." in page.text
    assert sum(picture["src"].startswith("data:image/gif") for picture in page.all("img")) == 1


def test_a_report_without_results_says_what_makes_some(tmp_path, refuses):
    with refuses("nowhere", "latentctx demo", "latentctx study NAME"):
        write_report(tmp_path / "nowhere")
    with refuses(str(tmp_path), "holds no results", *COLUMNS, "latentctx study NAME"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("step,loss\n1,2\n", ("is no results CSV", "study, world")),
        ("", ("is no results CSV",)),
        (f"{','.join(COLUMNS)}\n", ("holds no results",)),
        (f"{','.join(COLUMNS)}\na,b,c,d,no json,0,success,1,h,c,k\n", ("line 2", "JSON object", "'no json'")),
        (f"{','.join(COLUMNS)}\na,b,c,d,{{}},0,success,much,h,c,k\n", ("line 2", "'much'")),
        (f"{','.join(COLUMNS)}\na,b,c,d,[],0,success,1,h,c,k\n", ("line 2", "JSON object")),
        (f"{','.join(COLUMNS)}\na,b,c,d,{{}},0,success,1\n", ("line 2",)),
    ],
)
def test_a_csv_that_is_none_is_refused_in_words(text, words, tmp_path, refuses):
    (tmp_path / "r.csv").write_text(text)
    with refuses("r.csv", *words):
        write_report(tmp_path / "r.csv")


def test_other_csvs_of_a_run_are_passed_over(demo):
    (demo / "metrics.csv").write_text("step,loss\n1,2\n")
    (demo / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    assert len(read(demo).rows) == 3


def test_the_command_writes_where_it_is_told(demo, tmp_path, capsys):
    main(["report", str(demo), "--out", str(tmp_path / "pages" / "a.html")])
    assert capsys.readouterr().out == f"report: {tmp_path / 'pages' / 'a.html'}\n"
    assert "latentctx report" in (tmp_path / "pages" / "a.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted(RESULTS.iterdir()), ids=lambda path: path.name)
def test_every_study_of_the_project_has_a_report(folder, tmp_path):
    path = write_report(folder, tmp_path / "report.html")
    page = Reader(path.read_text())
    sections = read_sections(sorted(folder.rglob("*.csv")), folder)
    assert len(page.all("table")) == len(sections)
    assert len(page.rows) == sum(1 + len(section.estimates) for section in sections)


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, sight: object) -> np.ndarray:
    """CIE L*a*b* of a colour as someone sees it."""
    srgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(sight @ linear, 0, 1) / XYZ.sum(axis=1), 1e-4))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("words", [1, 30])
def test_long_labels_are_broken_and_leave_room_for_the_chart(words):
    labels = [f"method {place} {'measured_in_a_file_of_its_own.csv ' * words}" for place in range(8)]
    bars = [plots.Bar(label=label, value=0.5, low=0.4, high=0.6, colour="#4477aa") for label in labels]
    facts = {"places": [1, 2], "values": [0.1, 0.2], "lows": [0.0, 0.1], "highs": [0.2, 0.3]}
    lines = [plots.Line(label=label, colour="#4477aa", **facts) for label in labels]
    charts = (
        plots.bar_chart(
            bars, "success", share=True, number=str
        ),  # a collapsed chart would warn: an error here
        plots.line_chart(lines, "success", "steps", "curves", share=True),
    )
    for chart in charts:
        assert chart.startswith(b"<?xml")


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_of_any_two_methods_are_apart_to_all_eyes(sight):
    seen = [lab(colour, np.array(SIGHT[sight])) for colour in plots.COLOURS.values()]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 19


def test_methods_without_a_colour_get_one_that_nobody_else_has():
    colours = plots.colours_of(["inverse_dynamics", "sac", "ppo"])
    assert len(set(colours.values())) == 3


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if browser() is None:
        pytest.skip(MISSING)
    with headless(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def full(demo):
    """A page with bars, lines, a film, a wide table and a long command."""
    rows = [
        row(value=0.01 * done, study="goal_rl", done=done, task=task) for done in (0, 50) for task in "ab"
    ]
    write_results(demo / "curve.csv", rows, command="latentctx study goal-rl " + "--option value " * 30)
    frames = [Image.new("RGB", (160, 178), colour) for colour in ("red", "blue")]
    frames[0].save(demo / "rollouts.gif", save_all=True, append_images=frames[1:])
    return write_report(demo)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_a_browser_shows_every_picture_says_nothing_and_asks_for_nothing(tab, full, width, scheme):
    tab.seen_by(width=width, scheme=scheme)
    tab.open(full)
    widths = tab.widths_of_images()
    assert len(widths) == 4
    assert min(widths) > 0
    assert tab.console == []
    assert [address for address in tab.requests if not address.startswith("data:")] == [full.as_uri()]
    assert tab.value("document.documentElement.scrollWidth") <= width
    dark = tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(24, 24, 24)"
    assert dark == (scheme == "dark")


@pytest.mark.slow
def test_wide_tables_scroll_by_themselves_on_a_phone(tab, full):
    tab.seen_by(width=360)
    tab.open(full)
    assert tab.value("[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)")


@pytest.mark.slow
def test_a_browser_sees_what_is_wrong_with_a_page(tab, tmp_path):
    broken = '<img alt="" src="data:image/png;base64,AAAA"><img alt="" src="https://localhost:1/a.png">'
    (tmp_path / "broken.html").write_text(f"<!doctype html>{broken}<script>console.log('hear')</script>")
    tab.open(tmp_path / "broken.html")
    assert tab.widths_of_images() == [0, 0]
    assert "https://localhost:1/a.png" in tab.requests
    assert any("hear" in line for line in tab.console)
