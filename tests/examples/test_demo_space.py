"""The demo: its functions, its files and, marked slow, the page in a headless browser."""

import html
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from loopback_hub.cards import front_matter

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.evaluation import ShapeIndex, extract_features, nearest_shapes
from jointmae_hf.visualization import pixel_positions, reconstruct


DEMO = Path(__file__).parents[2] / "examples" / "demo_space"
EXPLORER = runpy.run_path(str(DEMO / "explorer.py"))
Camera, Explorer = EXPLORER["Camera"], EXPLORER["Explorer"]
SECONDS = 120


@pytest.fixture(scope="session")
def checkpoint(build_tiny_config, tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("demo") / "tiny"
    JointMAEForPreTraining(build_tiny_config(num_points=256, num_groups=[64, 16], image_size=64)).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="session")
def explorer(checkpoint):
    return Explorer.from_pretrained(str(checkpoint))


@pytest.fixture
def points(explorer):
    return explorer.examples["chair"]


def test_upload_is_rotated_upright_and_normalized_to_the_unit_sphere(explorer, tmp_path):
    cloud = np.random.default_rng(0).normal(size=(300, 3)) * [1, 2, 9] + 50  # tall along z
    np.save(tmp_path / "tower.npy", cloud)
    points = explorer.read(tmp_path / "tower.npy", up_axis="z")
    assert points.shape == (256, 3)
    assert points.norm(dim=1).amax().item() == pytest.approx(1.0, abs=1e-5)
    assert points.std(dim=0).argmax() == 1


@pytest.mark.parametrize(("mask_ratio", "num_visible"), [(0.25, 12), (0.75, 4)])
def test_mask_ratio_decides_how_many_patches_are_seen(explorer, points, mask_ratio, num_visible):
    pictures = explorer.pictures(points, mask_ratio, 0, Camera())
    original, visible = pictures["depth_map"], pictures["visible_patches"]
    size = len(original) // 4
    is_seen = [
        np.array_equal(
            original[row : row + size, column : column + size], visible[row : row + size, column : column + size]
        )
        for row in range(0, 4 * size, size)
        for column in range(0, 4 * size, size)
    ]
    assert sum(is_seen) == num_visible


def test_mask_ratio_is_restored(explorer, points):
    explorer.pictures(points, 0.25, 0, Camera())
    assert (explorer.model.config.mask_ratio, explorer.model.config.mask_ratio_2d) == (0.75, 0.75)


def test_view_and_mask_seed_change_the_pictures(explorer, points):
    first, turned, other = (
        explorer.pictures(points, 0.75, seed, camera)
        for seed, camera in ((0, Camera()), (0, Camera(azimuth=-90.0)), (1, Camera()))
    )
    assert not np.array_equal(first["points"], turned["points"])
    assert not np.array_equal(first["depth_map"], turned["depth_map"])
    assert np.array_equal(first["points"], other["points"])
    assert not np.array_equal(first["reconstruction"], other["reconstruction"])


def test_click_on_a_center_finds_its_token(explorer, points):
    camera = Camera(azimuth=-50.0, elevation=5.0)
    centers = reconstruct(explorer.model, points[None]).centers[0].numpy()
    drawn = pixel_positions(centers, EXPLORER["TILE_PIXELS"], camera.azimuth, camera.elevation)
    assert [explorer.token_at(points, *position, 0.75, 0, camera) for position in drawn] == list(range(16))


def test_attention_depends_on_the_token(explorer, points):
    first, last = (explorer.attention(points, token, Camera()) for token in (0, 15))
    assert first.shape == last.shape
    assert not np.array_equal(first, last)


def test_nearest_shape_of_a_known_one_is_itself(explorer):
    (picture, caption), *others = explorer.nearest(explorer.shapes[3])
    assert caption == f"{explorer.classes[3]}, 1.00"
    assert picture.shape == (220, 220, 3)
    similarities = [float(text.rpartition(", ")[2]) for _, text in others]
    assert similarities == sorted(similarities, reverse=True)


def test_nearest_shapes_are_those_of_the_search(explorer, points):
    features, _ = extract_features(explorer.model.jointmae, [{"points": cloud} for cloud in explorer.shapes])
    matches = nearest_shapes(explorer.model.jointmae, points, ShapeIndex(features, explorer.classes), top_k=3)
    assert [caption for _, caption in explorer.nearest(points, 3)] == [f"{m.name}, {m.score:.2f}" for m in matches]


def test_interactive_viewer_is_sandboxed_in_a_frame(explorer, points):
    frame = explorer.page(points, 0.5, 0, Camera())
    assert 'sandbox="allow-scripts"' in frame
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1])
    assert "default-src 'none'" in page


def test_3d_only_model_is_refused(build_tiny_config):
    with pytest.raises(ValueError, match="`model` must have a 2D branch to show depth maps, got"):
        Explorer(JointMAEForPreTraining(build_tiny_config(use_2d_branch=False)))


def test_front_matter_names_the_app_and_a_picture_that_is_there():
    text = (DEMO / "README.md").read_text(encoding="utf-8")
    data = front_matter(text)
    assert (data["sdk"], data["license"]) == ("gradio", "apache-2.0")
    assert (DEMO / data["app_file"]).is_file()
    assert len(data["short_description"]) <= 60
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (DEMO / picture).stat().st_size < 500_000


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Start the app as users do, with the checkpoint of `JOINTMAE_DEMO_MODEL` or the one that it trains."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = os.environ.get("JOINTMAE_DEMO_MODEL")
    command = [sys.executable, str(DEMO / "app.py"), "--port", str(port), *(["--model", model] if model else [])]
    folder = tmp_path_factory.mktemp("app")
    offline = {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
    with open(folder / "log", "w") as log:
        app = subprocess.Popen(command, cwd=folder, env={**os.environ, **offline}, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_listening(port) or app.poll() is not None, 500)
        assert app.poll() is None, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(30)


def is_listening(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition, seconds=SECONDS):
    """Return the value of the condition once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.3)
    raise TimeoutError(f"nothing within {seconds} s")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start Chromium, restricted to the local host."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = ["headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-dev-shm-usage"]
    flags += ["disable-background-networking", "disable-component-update", "disable-sync", "window-size=1400,1500"]
    flags += [f"user-data-dir={tmp_path_factory.mktemp('browser')}"]
    flags += ["host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
    for flag in flags:
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Page:
    """The page as a user sees it."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, selector):
        return self.browser.find_elements("css selector", selector)

    def pictures(self, name):
        """Return the addresses of the pictures in an element."""
        return [image.get_attribute("src") for image in self.find(f"#{name} img")]

    def wait_for_change(self, name, before):
        return wait_for(lambda: (now := self.pictures(name)) and now != before and now)

    def save_picture(self, path):
        """Save a screenshot of the whole page."""
        height = self.browser.execute_script("return document.documentElement.scrollHeight")
        self.browser.set_window_size(1400, height + 100)
        time.sleep(1)  # for the layout
        self.browser.save_screenshot(str(path))

    def move(self, name, value):
        """Set a slider and dispatch the events of its handle."""
        script = """
            const slider = document.querySelector(`#${arguments[0]} input[type=range]`);
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, arguments[1]);
            for (const name of ["input", "change", "pointerup"]) slider.dispatchEvent(new Event(name, {bubbles: true}));
        """
        self.browser.execute_script(script, name, value)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_demo_in_a_browser(address, browser, tmp_path):
    """Use the page: upload, change the mask ratio, rotate, click, open the 3D viewer."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.get(address)
    page = Page(browser)
    wait_for(lambda: len(page.pictures("nearest")) == 6)
    names = ("points", "centers", "visible_points", "reconstruction", "depth_map", "visible_patches")
    assert all(page.pictures(name) for name in (*names, "reconstructed_depth_map", "attention"))
    page.save_picture(os.environ.get("JOINTMAE_DEMO_PICTURE", tmp_path / "demo.png"))

    cloud, shown, near = tmp_path / "pillar.xyz", page.pictures("points"), page.pictures("nearest")
    np.savetxt(cloud, np.random.default_rng(0).uniform(-1, 1, size=(700, 3)) * [1, 1, 5])
    page.find("#up_axis input")[1].click()
    page.find("#file input[type=file]")[0].send_keys(str(cloud))
    shown = page.wait_for_change("points", shown)
    page.wait_for_change("nearest", near)

    hidden = page.pictures("visible_points")
    page.move("ratio", "0.4")
    page.wait_for_change("visible_points", hidden)

    attention = page.pictures("attention")
    page.move("azimuth", "-60")
    page.wait_for_change("points", shown)
    attention = page.wait_for_change("attention", attention)

    centers = page.find("#centers img")[0]
    ActionChains(browser).move_to_element_with_offset(centers, 0, -centers.size["height"] // 4).click().perform()
    page.wait_for_change("attention", attention)
    assert re.fullmatch(r"Attention of token \d+", page.find("#heading h3")[0].text)

    page.find("#turn button")[0].click()
    frame = wait_for(lambda: page.find("#turn iframe"))[0]
    browser.switch_to.frame(frame)
    wait_for(lambda: page.find("canvas"))
    assert wait_for(lambda: page.find("#heads span"))[0].text.startswith("Input")
    browser.switch_to.default_content()

    (tmp_path / "broken.xyz").write_text("no numbers", encoding="utf-8")
    page.find("#file button[aria-label^=Remove], #file button[aria-label=Clear]")[0].click()
    wait_for(lambda: page.find("#file input[type=file]"))[0].send_keys(str(tmp_path / "broken.xyz"))
    assert "broken.xyz" in wait_for(lambda: page.find(".toast-body"))[0].text
