"""From `push_to_hub` to `from_pretrained` over the Hub's protocol, each in a new process.

Models are loaded in two modes: with the package, whose classes are registered, and with remote code without it.
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
MODES = ["package", "remote"]


def snippets_of(card):
    return re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)


@pytest.fixture(scope="session")
def snippets(tmp_path_factory):
    """Write the code on the card of each class to files, by mode."""
    folder = tmp_path_factory.mktemp("snippets")
    paths = {mode: [] for mode in MODES}
    for name in CLASSES:
        card = render_model_card(ModelCardFacts(model_id=f"tester/{name}", architecture=name)).text
        for mode, code in zip(MODES, snippets_of(card), strict=True):
            paths[mode].append(folder / f"{mode}_{name}.py")
            paths[mode][-1].write_text(code, encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def loaded(run_client, pushed, snippets, tmp_path_factory):
    """Facts and outputs by mode: with the package always with git-LFS, even if uploaded with Xet."""
    folder = tmp_path_factory.mktemp("loaded")
    home, found = tmp_path_factory.mktemp("home"), {}

    def load(mode, name, code=(), **options):
        facts = run_client("load.py", mode, pushed, folder / name, *code, **options)
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


@pytest.mark.parametrize("mode", [*MODES, "offline"])
@pytest.mark.parametrize("name", CLASSES)
def test_loaded_weights_are_bitwise_identical(loaded, expected, mode, name):
    _, found = loaded[mode]
    keys = {key for key in expected if key.startswith(f"{name}:")}
    assert keys
    assert keys == {key for key in found if key.startswith(f"{name}:")}
    assert [key for key in sorted(keys) if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize("mode", [*MODES, "offline"])
@pytest.mark.parametrize("name", [*CLASSES, "newer"])
def test_outputs_are_bitwise_identical(loaded, expected, mode, name):
    """`JointMAEModel` is loaded by its tag, `newer` from the branch after another commit.

    Both sides compute with weights in their own memory, which starts at multiples of 64 bytes.
    """
    _, found = loaded[mode]
    keys = {key for key in expected if key.startswith(f"{name}.")}
    assert keys
    assert [key for key in sorted(keys) if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize("mode", [*MODES, "offline"])
@pytest.mark.parametrize("name", CLASSES)
def test_outputs_of_memory_mapped_weights_agree_up_to_rounding(loaded, expected, tolerance, mode, name):
    """In a file tensors start at multiples of 4 bytes, and there MKL sums a product with a vector in another order."""
    _, found = loaded[mode]
    keys = {key for key in expected if key.startswith(f"{name}.")}
    assert keys == {key.removeprefix("mapped ") for key in found if key.startswith(f"mapped {name}.")}
    for key in keys:
        torch.testing.assert_close(found[f"mapped {key}"], expected[key], **tolerance.get(expected[key].dtype, {}))


def test_tag_and_branch_differ(expected):
    assert not torch.equal(expected["newer.pooler_output"], expected["JointMAEModel.pooler_output"])


@pytest.mark.parametrize("name", CLASSES)
def test_remote_code_is_used_without_the_package(loaded, name):
    class_name, module = loaded["remote"][0]["modules"][name]
    assert class_name == name
    assert module.startswith("transformers_modules.")


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_the_package_are_used_if_it_is_installed(loaded, name):
    assert loaded["package"][0]["modules"][name] == [name, "jointmae_hf.model.modeling_jointmae"]


@pytest.mark.parametrize("mode", MODES)
def test_auto_model_loads_the_encoder_of_a_pretraining_checkpoint(loaded, expected, mode):
    facts, found = loaded[mode]
    assert facts["encoder"] == "JointMAEModel"
    weights = {key.partition(":")[2]: value for key, value in found.items() if key.startswith("encoder:")}
    assert weights
    for key, value in weights.items():
        assert torch.equal(value, expected[f"JointMAEForPreTraining:jointmae.{key}"]), key


@pytest.mark.parametrize("mode", MODES)
def test_loaded_processor_gives_the_same_points(loaded, expected, mode):
    assert torch.equal(loaded[mode][1]["points"], expected["points"])


@pytest.mark.parametrize("mode", MODES)
def test_device_map_gives_the_same_outputs(loaded, expected, mode):
    found = loaded[mode][1]
    assert torch.equal(found["device_map.pooler_output"], expected["newer.pooler_output"])


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_is_loaded_and_close(loaded, expected, mode):
    facts, found = loaded[mode]
    assert facts["dtypes"] == ["torch.bfloat16"]
    reference = expected["newer.pooler_output"]
    assert (found["bfloat16"] - reference).norm() < 0.1 * reference.norm()


@pytest.mark.parametrize("mode", MODES)
def test_pipeline_gives_the_same_answer_in_both_modes(loaded, mode):
    answers = loaded[mode][0]["pipeline"]
    assert len(answers) == 5
    assert answers == loaded["offline"][0]["pipeline"]


@pytest.mark.parametrize(("position", "name"), list(enumerate(CLASSES)))
@pytest.mark.parametrize("mode", MODES)
def test_code_on_the_card_runs(loaded, mode, position, name):
    shape = loaded[mode][0]["snippets"][position]
    assert shape == {2: [1], 3: [1, 64]}.get(position, [1, 32])


def test_twenty_loads_are_equal(loaded):
    assert loaded["package"][0]["differing_loads"] == 0


def test_remote_code_is_not_executed_without_consent(loaded):
    assert loaded["remote"][0]["no_trust"].startswith("ValueError")
    assert "contains custom code which must be executed" in loaded["remote"][0]["no_trust"]


def test_package_needs_no_consent(loaded):
    assert loaded["package"][0]["no_trust"] is None


@pytest.mark.parametrize("mode", MODES)
def test_unknown_revision_is_named_in_the_error(loaded, mode):
    assert re.match(r"(OSError|RevisionNotFoundError|ValueError): .*v9", loaded[mode][0]["no_revision"])


@pytest.mark.parametrize("name", CLASSES)
def test_pushed_configuration_references_uploaded_code(hub, pushed, name):
    files = hub.files(f"tester/{name}")
    auto_map = json.loads(files["config.json"])["auto_map"]
    own = {"JointMAEForPreTraining": "AutoModelForPreTraining"}.get(name, "AutoModel")
    assert auto_map[own] == f"modeling_jointmae.{name}"
    assert {f"{reference.partition('.')[0]}.py" for reference in auto_map.values()} <= files.keys()


def test_token_is_sent_to_the_hub_only(hub, loaded):
    """The server rejects a token sent to the hosts of large files; this checks that large files were requested."""
    large = [headers for _, path, headers in hub.requests if path.startswith(("/cdn/", "/xet/"))]
    assert large
    assert not any(hub.token in headers.get("authorization", "") for headers in large)
