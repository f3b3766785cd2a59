import re

import numpy as np
import pytest

from jointmae_hf.visualization import ShapeTile, search_page


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(20, 3)) / 5.0


def test_page_shows_every_shape_in_order_with_its_picture(cloud):
    rows = [[ShapeTile(cloud, f"{row}{column}.stl", "0.5") for column in range(3)] for row in range(2)]
    page = search_page("Shapes", rows)
    assert re.findall(r"<div>(\w+\.stl)<small>", page) == ["00.stl", "01.stl", "02.stl", "10.stl", "11.stl", "12.stl"]
    assert page.count('src="data:image/png;base64,') == 6
    assert page.count("<ol>") == 2


def test_query_is_marked(cloud):
    page = search_page("Shapes", [[ShapeTile(cloud, "a", "query", is_query=True), ShapeTile(cloud, "b", "0.9")]])
    assert page.count('<li class="query">') == page.count("<li>") == 1


def test_names_are_escaped_and_never_read_as_placeholders(cloud):
    page = search_page("<b>__ROWS__</b>", [[ShapeTile(cloud, '"><script>alert(1)</script>', "&")]], "__TITLE__")
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("__ROWS__") == 2  # in the title and in the heading
    assert "<p>__TITLE__</p>" in page


def test_page_loads_nothing(cloud):
    page = search_page("Shapes", [[ShapeTile(cloud, "a", "0.9")]])
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|<script""", page)


def test_page_without_a_row_is_refused():
    with pytest.raises(ValueError, match="`rows` must hold at least one row, got none"):
        search_page("Shapes", [])
