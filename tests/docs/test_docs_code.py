"""Every Python block of the README and the docs runs, page by page, in one process a page."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "datasets" / "README.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def code_of(page: Path) -> str:
    return "\n".join(BLOCK.findall(page.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p)], ids=lambda p: p.name)
def test_the_code_of_the_page_runs(page, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code_of(page)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_of_the_repository_lead_somewhere(page):
    targets = [target for target in LINK.findall(page.read_text()) if not target.startswith("http")]
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_generated_tables_are_those_of_the_results():
    sys.path.insert(0, str(ROOT / "docs"))
    import tables

    for name, (make, pages) in tables.TABLES.items():
        for page in pages:
            text = page.read_text()
            assert tables.with_table(text, name, make()) == text
            assert f"<!-- table:{name} -->" in text
