import pytest

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.evaluation import read_provenance
from jointmae_hf.training import demonstration_checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("use_2d_branch", [True, False])
def test_demonstration_checkpoint_is_made_once_and_names_its_data(tmp_path, use_2d_branch):
    folder = demonstration_checkpoint(tmp_path, use_2d_branch, num_steps=2)
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert demonstration_checkpoint(tmp_path, use_2d_branch, num_steps=2) == folder
    assert written == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert JointMAEForPreTraining.from_pretrained(folder).config.use_2d_branch is use_2d_branch
    assert read_provenance(folder).datasets == ("sample_shapes",)
