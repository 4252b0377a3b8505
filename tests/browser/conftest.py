"""A real browser, and servers for it: JupyterLab as students and instructors have it.

`screenshot("name")` keeps a picture of the page as test-artifacts/name.png.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "test-artifacts"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a sandbox of its own, which a container seldom allows, and without calling home.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SETTINGS = {
    # No question about news; dark where the page is; and every cell in the page, to be found.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"adaptive-theme": True},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: the machine's own, or the one that Playwright has downloaded.

    For a module and no longer: while it is open, nothing else can run an event loop.
    """
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, NAMES)), playwright.chromium.executable_path)
        if not Path(found).exists():
            pytest.skip(
                "no Chromium on this machine: install the package chromium (as root: apt-get "
                "install chromium), or run .venv/bin/playwright install chromium"
            )
        try:
            chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except Error as error:
            pytest.skip(f"{found} does not start here: {error.message[-500:]}")
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own context; what a test waits for has a minute to come."""
    expect.set_options(timeout=60_000)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def screenshot(page: Page) -> Callable[[str], None]:
    """Keeps a picture of the page."""
    ARTIFACTS.mkdir(exist_ok=True)

    def keep(name: str) -> None:
        page.screenshot(path=ARTIFACTS / f"{name}.png")

    return keep


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts JupyterLab in a folder and returns its URL; the options are Jupyter's own.

    Nothing of the user's configuration reaches it, and nothing of it stays.
    """
    servers: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, *options: str, **environment: str) -> str:
        home = tmp_path_factory.mktemp("home")
        for name, values in SETTINGS.items():
            file = home / f"config/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        own = {name: value for name, value in os.environ.items() if "JUPYTER" not in name}
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser"),
                    *(f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
                    *options,
                ],
                cwd=folder,
                env={
                    **own,
                    "HOME": str(home),
                    "JUPYTER_CONFIG_DIR": str(home / "config"),
                    "JUPYTER_DATA_DIR": str(home / "data"),
                    "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
                    "OMP_NUM_THREADS": "1",
                    **environment,
                },
                stdout=log,
                stderr=log,
            )
        servers.append(server)
        _await(f"{url}/api", server, home / "log")
        return url

    yield start
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait(20)


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    server.kill()
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")
