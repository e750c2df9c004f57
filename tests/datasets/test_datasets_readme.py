"""The code of the README runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "datasets" / "README.md"


def test_python_blocks_of_the_readme_run(run_python: Callable[..., Any]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert len(blocks) == 5
    run_python("\n".join(blocks))
