"""From `push_to_hub` to `from_pretrained` over the Hub's protocol, each side in a fresh process.

Two roads: with the package, whose classes are registered, and without it by the code beside the weights.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file

from jointmae_hf.hub import ModelCardFacts, render_model_card


CLASSES = [
    "JointMAEModel",
    "JointMAEForPreTraining",
    "JointMAEForPointCloudClassification",
    "JointMAEForPointCloudSegmentation",
]
ROADS = ["package", "remote"]


def snippets_of(card):
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


@pytest.fixture(scope="session")
def snippets(tmp_path_factory):
    """Code on the card of each class, by road, as files."""
    folder = tmp_path_factory.mktemp("snippets")
    paths = {road: [] for road in ROADS}
    for name in CLASSES:
        card = render_model_card(ModelCardFacts(model_id=f"tester/{name}", architecture=name)).text
        for road, code in zip(ROADS, snippets_of(card), strict=True):
            paths[road].append(folder / f"{road}_{name}.py")
            paths[road][-1].write_text(code, encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def loaded(run_client, pushed, snippets, tmp_path_factory):
    """Facts and outputs by road: with the package always by git-LFS, also what came to the Hub by Xet."""
    folder = tmp_path_factory.mktemp("loaded")
    home, found = tmp_path_factory.mktemp("home"), {}

    def load(road, name, code=(), **options):
        facts = run_client("load.py", road, pushed, folder / name, *code, **options)
        found[name] = (facts, load_file(folder / name))

    def without_package():
        dead = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
        load("remote", "remote", snippets["remote"], home=home)
        load("remote", "offline", home=home, **dead)

    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(without_package), pool.submit(load, "package", "package", snippets["package"], xet=False)]
        for task in tasks:
            task.result()
    return found


@pytest.fixture(scope="session")
def expected(pushed):
    return load_file(pushed / "outputs.safetensors")


@pytest.mark.parametrize("road", [*ROADS, "offline"])
@pytest.mark.parametrize("name", CLASSES)
def test_weights_come_back_bit_by_bit(loaded, expected, road, name):
    _, found = loaded[road]
    keys = {key for key in expected if key.startswith(f"{name}:")}
    assert keys
    assert keys == {key for key in found if key.startswith(f"{name}:")}
    assert [key for key in sorted(keys) if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize("road", [*ROADS, "offline"])
@pytest.mark.parametrize("name", [*CLASSES, "newer"])
def test_outputs_come_back_bit_by_bit(loaded, expected, road, name):
    """`JointMAEModel` is loaded by its tag, `newer` from the branch that has moved on.

    Both sides compute on weights in memory of their own, which starts at multiples of 64 bytes.
    """
    _, found = loaded[road]
    keys = {key for key in expected if key.startswith(f"{name}.")}
    assert keys
    assert [key for key in sorted(keys) if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize("road", [*ROADS, "offline"])
@pytest.mark.parametrize("name", CLASSES)
def test_outputs_of_weights_in_the_mapped_file_agree_to_roundings(loaded, expected, tolerance, road, name):
    """In a file tensors start at multiples of 4 bytes, where a product of MKL with a vector sums in another order."""
    _, found = loaded[road]
    keys = {key for key in expected if key.startswith(f"{name}.")}
    assert keys == {key.removeprefix("mapped ") for key in found if key.startswith(f"mapped {name}.")}
    for key in keys:
        torch.testing.assert_close(found[f"mapped {key}"], expected[key], **tolerance.get(expected[key].dtype, {}))


def test_tag_and_branch_differ(expected):
    assert not torch.equal(expected["newer.pooler_output"], expected["JointMAEModel.pooler_output"])


@pytest.mark.parametrize("name", CLASSES)
def test_code_beside_the_weights_is_used_without_the_package(loaded, name):
    class_name, module = loaded["remote"][0]["modules"][name]
    assert class_name == name
    assert module.startswith("transformers_modules.")


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_the_package_win_without_asking(loaded, name):
    assert loaded["package"][0]["modules"][name] == [name, "jointmae_hf.model.modeling_jointmae"]


@pytest.mark.parametrize("road", ROADS)
def test_pretraining_checkpoint_gives_its_encoder_to_auto_model(loaded, expected, road):
    facts, found = loaded[road]
    assert facts["encoder"] == "JointMAEModel"
    weights = {key.partition(":")[2]: value for key, value in found.items() if key.startswith("encoder:")}
    assert weights
    for key, value in weights.items():
        assert torch.equal(value, expected[f"JointMAEForPreTraining:jointmae.{key}"]), key


@pytest.mark.parametrize("road", ROADS)
def test_processor_comes_back(loaded, expected, road):
    assert torch.equal(loaded[road][1]["points"], expected["points"])


@pytest.mark.parametrize("road", ROADS)
def test_device_map_changes_nothing(loaded, expected, road):
    found = loaded[road][1]
    assert torch.equal(found["device_map.pooler_output"], expected["newer.pooler_output"])


@pytest.mark.parametrize("road", ROADS)
def test_bfloat16_is_loaded_and_close(loaded, expected, road):
    facts, found = loaded[road]
    assert facts["dtypes"] == ["torch.bfloat16"]
    reference = expected["newer.pooler_output"]
    assert (found["bfloat16"] - reference).norm() < 0.1 * reference.norm()


@pytest.mark.parametrize("road", ROADS)
def test_pipeline_gives_the_same_answer_on_both_roads(loaded, road):
    answers = loaded[road][0]["pipeline"]
    assert len(answers) == 5
    assert answers == loaded["offline"][0]["pipeline"]


@pytest.mark.parametrize(("position", "name"), list(enumerate(CLASSES)))
@pytest.mark.parametrize("road", ROADS)
def test_usage_on_the_card_runs_as_written(loaded, road, position, name):
    shape = loaded[road][0]["snippets"][position]
    assert shape == {2: [1], 3: [1, 64]}.get(position, [1, 32])


def test_twenty_loads_are_equal(loaded):
    assert loaded["package"][0]["differing_loads"] == 0


def test_code_is_not_run_without_consent(loaded):
    assert loaded["remote"][0]["no_trust"].startswith("ValueError")
    assert "contains custom code which must be executed" in loaded["remote"][0]["no_trust"]


def test_package_needs_no_consent(loaded):
    assert loaded["package"][0]["no_trust"] is None


@pytest.mark.parametrize("road", ROADS)
def test_unknown_revision_is_an_error_that_names_it(loaded, road):
    assert re.match(r"(OSError|RevisionNotFoundError|ValueError): .*v9", loaded[road][0]["no_revision"])


@pytest.mark.parametrize("name", CLASSES)
def test_pushed_configuration_names_the_code_that_travels_with_it(hub, pushed, name):
    files = hub.files(f"tester/{name}")
    auto_map = json.loads(files["config.json"])["auto_map"]
    own = {"JointMAEForPreTraining": "AutoModelForPreTraining"}.get(name, "AutoModel")
    assert auto_map[own] == f"modeling_jointmae.{name}"
    assert {f"{reference.partition('.')[0]}.py" for reference in auto_map.values()} <= files.keys()


def test_token_goes_to_the_hub_alone(hub, loaded):
    """The server refuses a token sent to where large files lie; here one sees that large files were asked for."""
    large = [headers for _, path, headers in hub.requests if path.startswith(("/cdn/", "/xet/"))]
    assert large
    assert not any(hub.token in headers.get("authorization", "") for headers in large)
