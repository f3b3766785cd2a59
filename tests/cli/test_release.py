import pytest


@pytest.mark.parametrize(
    "content", ['[{"title": "Parts"}]', '["Parts"]', "{", "3"], ids=["field", "text", "cut", "number"]
)
def test_training_data_of_another_form_is_refused(tmp_path, refuse, content):
    path = tmp_path / "terms.json"
    path.write_text(content, encoding="utf-8")
    assert refuse(["release", tmp_path, tmp_path / "new", "--training_data", path]).startswith("jointmae: error: ")
