"""The progress bar with the losses."""

from transformers import ProgressCallback

from jointmae_hf.training import LossProgressCallback


def test_bar_shows_the_three_losses(make_trainer, capsys):
    trainer = make_trainer(disable_tqdm=False)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(LossProgressCallback)
    trainer.train()
    output = "".join(capsys.readouterr())
    assert all(f"{name}=" in output for name in ("loss", "loss_3d", "loss_2d", "loss_3d_2d"))
