"""Draw the figures of the documentation again, with other weights or after a change.

```bash
pip install -e ".[data,demo,viz]" selenium   # and Chromium with its driver, for the two screenshots
python docs/provenance/draw_figures.py --model checkpoints/jointmae-small
```

Writes `alignment.png`, `attention.png`, `demo.png`, `losses.png`, `pipeline.png`, `reconstruction.png` and
`reconstruction_page.png` into `docs/figures`. Objects are those of `sample_shapes`, split test, seed 42. Look at each figure before
committing it. `primitive_shapes.png` and `sample_shapes.png` show data, not weights.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


ROOT = Path(__file__).parents[2]
FIGURES, EXAMPLES = ROOT / "docs" / "figures", ROOT / "examples"
SECONDS = 300


def draw_by_scripts(model: str, folder: Path) -> None:
    """Draw what the scripts draw into a folder, and copy its pictures."""
    for script, dpi in (("visualize_pipeline.py", 80), ("visualize_reconstruction.py", 150)):
        flags = ["--model", model, "--output_dir", str(folder), "--dpi", str(dpi)]
        subprocess.run([sys.executable, str(EXAMPLES / script), *flags], check=True)
    for picture in folder.glob("*.png"):
        shutil.copy(picture, FIGURES / picture.name)


def open_browser(profile: Path) -> Any:
    """Start Chromium without a window, restricted to this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = ["headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", f"user-data-dir={profile}"]
    for flag in [*flags, "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]:
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"Nothing within {SECONDS} s.")
        time.sleep(0.5)


def take_picture(browser: Any, address: str, path: Path, width: int, is_ready: str, height: int | None = None) -> None:
    """Save a page as a picture once a script returns true, by default of its whole height."""
    browser.set_window_size(width, height or 1500)
    browser.get(address)
    wait_for(lambda: bool(browser.execute_script(f"return {is_ready}")))
    if height is None:
        browser.set_window_size(width, browser.execute_script("return document.documentElement.scrollHeight") + 140)
    time.sleep(3)  # for the layout
    browser.save_screenshot(str(path))


def is_listening(port: int) -> bool:
    """Return whether a server answers."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def draw_pages(model: str, folder: Path) -> None:
    """Draw the interactive page and the demo as they look in a browser."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(EXAMPLES / "demo_space" / "app.py"), "--model", model, "--port", str(port)]
    demo = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    browser = open_browser(folder / "profile")
    try:
        page = (folder / "reconstruction.html").as_uri()
        take_picture(browser, page, FIGURES / "reconstruction_page.png", 1200, "document.images.length > 2", 1000)
        wait_for(lambda: is_listening(port))
        loaded = "document.querySelectorAll('#nearest img, #attention img').length > 6"
        take_picture(browser, f"http://127.0.0.1:{port}", FIGURES / "demo.png", 1400, loaded)
    finally:
        browser.quit()
        demo.terminate()
        demo.wait(30)


def main() -> None:
    """Draw everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "checkpoints" / "jointmae-small"), help="checkpoint to draw")
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as folder:
        draw_by_scripts(model, Path(folder))
        draw_pages(model, Path(folder))


if __name__ == "__main__":
    main()
