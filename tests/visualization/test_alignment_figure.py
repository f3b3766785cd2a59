"""Figure 3: the correlated pairs are those of the model."""

from jointmae_hf.visualization import alignment_figure


def test_alignment_figure_counts_correlated_pairs(model, trace, texts):
    num_3d, visible = trace.outputs.centers.shape[1], int((~trace.outputs.mask_3d[0]).sum())
    counts = [text for text in texts(alignment_figure(trace)) if "correlated" in text]
    assert counts[0].startswith(f"{num_3d} of {num_3d * 16}")  # every center lies in one patch
    assert counts[1].startswith(f"{int(trace.may_attend[0, :visible, visible:].sum())} of ")
