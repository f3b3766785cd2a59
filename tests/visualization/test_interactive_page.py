import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.visualization import reconstruct, reconstruction_page


class Links(HTMLParser):
    """Collect the links of a page, and its data."""

    def __init__(self):
        super().__init__()
        self.addresses, self.policy, self.data, self._is_data = [], None, "", False

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [
            attributes[name] for name in ("src", "href", "srcset", "action", "data") if name in attributes
        ]
        self._is_data = attributes.get("id") == "data"
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]

    def handle_endtag(self, tag):
        self._is_data = False

    def handle_data(self, data):
        if self._is_data:
            self.data += data


def parse(page):
    links = Links()
    links.feed(page)
    return links


@pytest.fixture
def page(model, unit_sphere_cloud):
    return reconstruction_page(model, unit_sphere_cloud, ["</script><b>mug", "chair"], seed=5, facts="seed: 5")


def test_page_loads_nothing(page):
    assert parse(page).addresses == []
    assert not re.search(
        r"https?:|//[a-z]+\.|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\s*\(|Worker\(", page
    )


def test_page_forbids_the_browser_to_load_anything(page):
    assert parse(page).policy.startswith("default-src 'none'; ")
    assert "http" not in parse(page).policy


def test_page_holds_the_points_of_the_model(page, model, unit_sphere_cloud):
    cloud = json.loads(parse(page).data)["shapes"][1]["clouds"][3]
    points = np.frombuffer(base64.b64decode(cloud["positions"]), dtype="<f4").reshape(-1, 3)
    expected = reconstruct(model, unit_sphere_cloud, seed=5).reconstructed_points[1].numpy()
    np.testing.assert_array_equal(points, expected)


def test_page_marks_predicted_and_given_points(page, model, unit_sphere_cloud):
    cloud = json.loads(parse(page).data)["shapes"][0]["clouds"][3]
    kinds = np.frombuffer(base64.b64decode(cloud["colors"]), dtype=np.uint8).reshape(-1, 4)[:, 3]
    is_hidden = reconstruct(model, unit_sphere_cloud, seed=5).mask_3d[0].repeat_interleave(4).numpy()
    np.testing.assert_array_equal(kinds == 255, is_hidden)


def test_page_keeps_titles_out_of_its_markup(page):
    assert json.loads(parse(page).data)["shapes"][0]["title"] == "</script><b>mug"


def test_page_of_a_3d_only_model_has_no_depth_maps(build_model, unit_sphere_cloud):
    page = reconstruction_page(build_model(use_2d_branch=False), unit_sphere_cloud)
    assert json.loads(parse(page).data)["shapes"][0]["maps"] == []


def test_page_names_the_titles_when_one_is_missing(model, unit_sphere_cloud):
    with pytest.raises(ValueError, match="`titles` must have one entry per cloud, got 1 for 2"):
        reconstruction_page(model, unit_sphere_cloud, ["mug"])


def test_page_of_the_documentation_has_the_markup_of_today(page):
    documented = (Path(__file__).parents[2] / "docs" / "figures" / "reconstruction.html").read_text(encoding="utf-8")
    assert documented.replace(parse(documented).data, "") == page.replace(parse(page).data, "")
