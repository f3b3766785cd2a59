import json

import pytest

from jointmae_hf.evaluation import CheckpointProvenance, Result, read_provenance, write_results


def checkpoint(folder, **config):
    (folder / "config.json").write_text(json.dumps(config))
    return folder


RESULT = Result("loss", 0.1, "squared units", "validation", "last epoch", 0, 4, 4, "modelnet40")


def test_read_provenance_of_nothing_is_from_scratch():
    assert read_provenance(None).describe("modelnet40") == "from scratch"


def test_read_provenance_finds_the_data_next_to_the_weights(tmp_path):
    write_results(tmp_path / "results.json", [RESULT], {"training_data": [{"name": "modelnet40"}, {"name": "ldraw"}]})
    found = read_provenance(checkpoint(tmp_path, use_2d_branch=True))
    assert found.describe("modelnet40") == "Joint-MAE on modelnet40 (in-domain) and ldraw"
    assert found.checkpoint == tmp_path.name


def test_many_datasets_are_counted_after_the_one_in_domain():
    provenance = CheckpointProvenance("Joint-MAE", ("ldraw", "kenney", "modelnet40", "gazebo"))
    assert provenance.describe("modelnet40") == "Joint-MAE on modelnet40 (in-domain) and 3 other datasets"
    assert provenance.describe("scanobjectnn") == "Joint-MAE on ldraw and 3 other datasets"


def test_weights_that_go_on_have_seen_the_data_of_their_checkpoint():
    seen = ({"name": "ldraw", "share": 0.7, "license": "CC BY 2.0"}, {"name": "mine", "share": 0.3})
    facts = CheckpointProvenance("Joint-MAE", ("ldraw", "mine"), "owner/name", seen).training_facts([{"name": "mine"}])
    assert facts == {
        "training_data": [{"name": "ldraw", "license": "CC BY 2.0"}, {"name": "mine"}],
        "base_model": "owner/name",
    }


def test_local_checkpoint_is_no_base_model():
    assert CheckpointProvenance("Joint-MAE", checkpoint="name").training_facts([]) == {"training_data": []}


def test_read_provenance_says_when_the_data_is_unknown(tmp_path):
    found = read_provenance(checkpoint(tmp_path, use_2d_branch=False))
    assert found.describe("modelnet40") == "3D only on unknown data"


def test_read_provenance_refuses_a_folder_without_a_model(tmp_path):
    with pytest.raises(OSError, match=r"config\.json"):
        read_provenance(tmp_path)
