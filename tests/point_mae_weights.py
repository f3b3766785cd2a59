"""Checkpoints as Point-MAE saves them, with random weights, for tests of their conversion."""

import torch


WIDTH, HEADS, GROUPS, NEIGHBORS = 24, 2, 8, 4
SIZES = {"num_attention_heads": HEADS, "num_points": 64, "num_groups": [GROUPS], "group_size": [NEIGHBORS]}


def linear(name, size_in, size_out, kernel=False, bias=True):
    weight = torch.randn(size_out, size_in, *([1] if kernel else [])) / size_in**0.5
    return {f"{name}.weight": weight} | ({f"{name}.bias": torch.randn(size_out)} if bias else {})


def norm(name, size, is_batch=False):
    state = {f"{name}.weight": torch.rand(size) + 0.5, f"{name}.bias": torch.randn(size)}
    if is_batch:
        state |= {f"{name}.running_mean": torch.randn(size), f"{name}.running_var": torch.rand(size) + 0.5}
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return state


def blocks(prefix, count):
    state = {}
    for block in range(count):
        name = f"{prefix}{block}."
        state |= norm(f"{name}norm1", WIDTH) | norm(f"{name}norm2", WIDTH)
        state |= linear(f"{name}attn.qkv", WIDTH, 3 * WIDTH, bias=False) | linear(f"{name}attn.proj", WIDTH, WIDTH)
        state |= linear(f"{name}mlp.fc1", WIDTH, 4 * WIDTH) | linear(f"{name}mlp.fc2", 4 * WIDTH, WIDTH)
    return state


def encoder(prefix=""):
    name = f"{prefix}encoder."
    state = linear(f"{name}first_conv.0", 3, 6, True) | norm(f"{name}first_conv.1", 6, True)
    state |= linear(f"{name}first_conv.3", 6, 12, True) | linear(f"{name}second_conv.0", 24, 24, True)
    state |= norm(f"{name}second_conv.1", 24, True) | linear(f"{name}second_conv.3", 24, WIDTH, True)
    state |= linear(f"{prefix}pos_embed.0", 3, 10) | linear(f"{prefix}pos_embed.2", 10, WIDTH)
    return state | blocks(f"{prefix}blocks.blocks.", 3) | norm(f"{prefix}norm", WIDTH)


def pretrained_weights():
    torch.manual_seed(0)
    state = encoder("MAE_encoder.") | {"mask_token": torch.randn(1, 1, WIDTH)} | blocks("MAE_decoder.blocks.", 2)
    state |= linear("decoder_pos_embed.0", 3, 10) | linear("decoder_pos_embed.2", 10, WIDTH)
    return state | norm("MAE_decoder.norm", WIDTH) | linear("increase_dim.0", WIDTH, 3 * NEIGHBORS, True)


def classifier_weights():
    torch.manual_seed(1)
    state = encoder() | {"cls_token": torch.randn(1, 1, WIDTH), "cls_pos": torch.randn(1, 1, WIDTH)}
    head = "cls_head_finetune."
    state |= linear(f"{head}0", 2 * WIDTH, 16) | norm(f"{head}1", 16, True) | linear(f"{head}4", 16, 14)
    return state | norm(f"{head}5", 14, True) | linear(f"{head}8", 14, 5)


def segmenter_weights():
    torch.manual_seed(2)
    state = encoder() | linear("label_conv.0", 16, 6, True, bias=False) | norm("label_conv.1", 6, True)
    carried = "propagation_0.mlp_"
    state |= linear(f"{carried}convs.0", 3 * WIDTH + 3, 20, True) | norm(f"{carried}bns.0", 20, True)
    state |= linear(f"{carried}convs.1", 20, 18, True) | norm(f"{carried}bns.1", 18, True)
    state |= linear("convs1", 18 + 6 * WIDTH + 6, 16, True) | norm("bns1", 16, True)
    return state | linear("convs2", 16, 12, True) | norm("bns2", 12, True) | linear("convs3", 12, 7, True)


def save(path, state, key="base_model", **content):
    torch.save({key: {f"module.{name}": value for name, value in state.items()}, "epoch": 300, **content}, path)
    return path
