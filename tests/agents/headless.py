"""A headless Chromium for tests, spoken to by the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
MISSING = "no Chromium: `make browser` installs Debian's chromium-headless-shell"
PATIENCE = 60.0  # [s] for one answer
LAUNCH = 'exec "${@:3}" 3<&"$1" 4>&"$2"'  # a browser reads commands from descriptor 3 and answers on 4
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--remote-debugging-pipe")  # fmt: skip


def browser() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """A tab that keeps what the page says on its console and which addresses it asks for."""

    def __init__(self, commands: int, answers: int) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []
        self._commands, self._answers = commands, answers
        self._count, self._buffer, self._loaded = 0, b"", False
        self._session: dict[str, str] = {}
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = {
            "sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        }
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer: dict[str, Any] = {}
        while answer.get("id") != self._count:
            answer = self._receive()
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, file: Path) -> None:
        """Read a file, forget what was before it, and wait until it is loaded with all that belongs to it."""
        self.console.clear()
        self.requests.clear()
        self._loaded = False
        self.ask("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._receive()

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._answers, 1 << 16) if ready else b""
            assert data, "the browser does not answer"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Log.entryAdded":
            self.console.append(facts["entry"]["text"])
        elif event == "Runtime.consoleAPICalled":
            self.console.append(str(facts["args"]))
        elif event == "Runtime.exceptionThrown":
            self.console.append(str(facts["exceptionDetails"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(facts["request"]["url"])

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives on the page; promises are awaited."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def widths_of_images(self) -> list[int]:
        """Width of each image as decoded [pixels], 0 for one that is not shown."""
        decoded = "i => i.decode().then(() => i.naturalWidth, () => 0)"
        return self.value(f"Promise.all([...document.images].map({decoded}))")

    def seen_by(self, *, width: int, scheme: str = "light") -> None:
        """Give the reader a window of this width [CSS pixels] and a wish for a "light" or a "dark" page."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def headless(profile: Path) -> Iterator[Page]:
    """A tab of a fresh browser, which ends with the block.

    Args:
        profile: an empty folder for the browser's own files.
    """
    path = browser()
    assert path is not None, MISSING
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    ends = [str(theirs_in), str(theirs_out)]
    words = ["bash", "-c", LAUNCH, "bash", *ends, path, *FLAGS, f"--user-data-dir={profile}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, pass_fds=(theirs_in, theirs_out), **quiet)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)  # a browser without a master ends itself
        os.close(answers)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
