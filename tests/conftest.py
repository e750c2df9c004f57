"""Fixtures of all rooms: isolated folders, no network, one thread, a tiny encoder, refusals in words."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it once, at its import


@pytest.fixture(scope="session", autouse=True)
def isolated_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data sets, pixel caches and hub downloads of the tests never touch the user's."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
        patch.setenv("LATENTCTX_CACHE", str(root / "latentctx"))
        yield root


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tests share few cores; torch is not imported for this."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def tiny_encoder() -> Any:
    """A convnet of a few hundred weights for 32 px frames, fresh for each test."""
    import torch

    from latentctx_envs.encoders import ConvNet, ConvNetConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvNet(
            ConvNetConfig(image_size=(32, 32), channels=(4, 8), strides=(2, 2), keypoints=4, features=8)
        ).eval()


@pytest.fixture
def tiny_encoder_dir(tiny_encoder: Any, tmp_path: Path) -> Path:
    """The directory of a saved `tiny_encoder`."""
    tiny_encoder.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


Refuses = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def refuses() -> Refuses:
    """`with refuses("expected", "got"):` the block raises one line that contains these words."""

    @contextmanager
    def check(*words: str, error: type[Exception] = ValueError) -> Iterator[None]:
        with pytest.raises(error) as caught:
            yield
        message = str(caught.value)
        assert message and "\n" not in message
        assert [word for word in words if word not in message] == [], message

    return check


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_python(code, *arguments, NAME=value)`: a fresh interpreter with these environment variables set.

    It must succeed within a minute.
    """

    def run(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        environment = {**os.environ, **variables}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done

    return run
