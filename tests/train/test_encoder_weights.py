"""Published weights in image encoders: random ones in the layout of those who publish them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every reader of torch knows

from fvlm_data.errors import ConfigError
from fvlm_train.model import FVLM
from fvlm_train.model.encoders.entry import build_encoder, loaded_weights
from fvlm_train.model.encoders.inflation import DEVIATION_RGB, MEAN_RGB
from tests.train.test_encoders import RESNET, config_of, model_config

WIDTH, HEADS, DEPTH, SIDE, PATCH = 16, 2, 2, 3, 16


def encoder_of(name: str, **over: Any) -> Any:
    return build_encoder(model_config(name, **over))


def load(encoder: Any, state: dict[str, Tensor], name: str, **over: Any) -> list[str]:
    return loaded_weights(state, encoder, model_config(name, **over))


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape) * 0.3


def mae_state() -> dict[str, Tensor]:
    """A 2-D ViT of the MAE's names, small."""
    torch.manual_seed(1)
    state = {
        "cls_token": drawn(1, 1, WIDTH),
        "pos_embed": drawn(1, 1 + SIDE**2, WIDTH),
        "patch_embed.proj.weight": drawn(WIDTH, 3, PATCH, PATCH) / PATCH,
        "patch_embed.proj.bias": drawn(WIDTH),
        "norm.weight": 1 + drawn(WIDTH),
        "norm.bias": drawn(WIDTH),
        "decoder_embed.weight": drawn(8, WIDTH),
    }
    for number in range(DEPTH):
        for layer, out, into in (
            ("attn.qkv", 3 * WIDTH, WIDTH),
            ("attn.proj", WIDTH, WIDTH),
            ("mlp.fc1", 4 * WIDTH, WIDTH),
            ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):
            state[f"blocks.{number}.{layer}.weight"] = drawn(out, into)
            state[f"blocks.{number}.{layer}.bias"] = drawn(out)
        for norm in ("norm1", "norm2"):
            state[f"blocks.{number}.{norm}.weight"] = 1 + drawn(WIDTH)
            state[f"blocks.{number}.{norm}.bias"] = drawn(WIDTH)
    return state


def vit_2d(state: dict[str, Tensor], grey_yx: Tensor) -> Tensor:
    """The 2-D network's own way, without its class token: (N, D)."""
    colour = (grey_yx.expand(3, -1, -1) - torch.tensor(MEAN_RGB)[:, None, None]) / torch.tensor(
        DEVIATION_RGB
    )[:, None, None]
    name = "patch_embed.proj"
    x = F.conv2d(colour[None], state[f"{name}.weight"], state[f"{name}.bias"], stride=PATCH)
    x = x.flatten(2).transpose(1, 2)[0] + state["pos_embed"][0, 1:]
    for number in range(DEPTH):
        w = {k.removeprefix(f"blocks.{number}."): v for k, v in state.items()}
        y = F.layer_norm(x, [WIDTH], w["norm1.weight"], w["norm1.bias"])
        q, k, v = F.linear(y, w["attn.qkv.weight"], w["attn.qkv.bias"]).chunk(3, dim=-1)
        heads = []
        for at in range(0, WIDTH, WIDTH // HEADS):
            part = slice(at, at + WIDTH // HEADS)
            weights = (q[:, part] @ k[:, part].T / math.sqrt(WIDTH // HEADS)).softmax(dim=-1)
            heads.append(weights @ v[:, part])
        x = x + F.linear(torch.cat(heads, -1), w["attn.proj.weight"], w["attn.proj.bias"])
        y = F.layer_norm(x, [WIDTH], w["norm2.weight"], w["norm2.bias"])
        y = F.gelu(F.linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"]))
        x = x + F.linear(y, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
    return F.layer_norm(x, [WIDTH], state["norm.weight"], state["norm.bias"])


@pytest.mark.parametrize("inflation", ["mean", "centre"])
def test_a_volume_of_one_slab_gives_what_the_2d_network_gave_of_its_slice(inflation: str) -> None:
    over = {
        "image": {"patch_zyx": [8, PATCH, PATCH], "window_zyx": [8, 48, 48]},
        "image_encoder_options": {"inflation": inflation},
    }
    encoder, state = encoder_of("mae", **over).eval(), mae_state()
    assert len(load(encoder, state, "mae", **over)) == len(encoder.state_dict())
    slice_yx = torch.rand(48, 48)
    volume = slice_yx.expand(8, -1, -1).clone()
    if inflation == "centre":
        # the other slices are not looked at
        volume[:4], volume[5:] = torch.rand(4, 48, 48), torch.rand(3, 48, 48)
    with torch.no_grad():
        found = encoder.features(volume[None]).tokens_bnd[0]
    torch.testing.assert_close(found, vit_2d(state, slice_yx), atol=2e-4, rtol=1e-4)


def test_an_even_slice_passes_a_patch_layer_of_another_size() -> None:
    over = {"image": {"patch_zyx": [8, 8, 24], "window_zyx": [16, 48, 48]}}
    encoder, state = encoder_of("mae", **over), mae_state()
    load(encoder, state, "mae", **over)
    even = torch.full((1, 16, 48, 48), 0.4)
    expected = F.conv2d(
        (torch.full((3, 1, 1), 0.4) - torch.tensor(MEAN_RGB)[:, None, None]).div(
            torch.tensor(DEVIATION_RGB)[:, None, None]
        ).expand(3, PATCH, PATCH)[None],
        state["patch_embed.proj.weight"],
        state["patch_embed.proj.bias"],
    ).flatten()  # fmt: skip
    found = encoder.embedding(even)
    assert found.shape == (1, 24, WIDTH)
    torch.testing.assert_close(
        found, expected.expand_as(found), atol=0.05 * float(expected.abs().max()), rtol=0
    )


def torchvision_resnet(width: int) -> dict[str, Tensor]:
    """A 2-D bottleneck ResNet of torchvision's names, one block a layer, with its classifier."""
    torch.manual_seed(2)

    def norm(name: str, channels: int) -> dict[str, Tensor]:
        parts = ("weight", "bias", "running_mean")
        return {f"{name}.{part}": drawn(channels) for part in parts} | {
            f"{name}.running_var": torch.rand(channels) + 0.5
        }

    state = {"conv1.weight": drawn(width, 3, 7, 7), **norm("bn1", width)}
    entering = width
    for number in range(4):
        at, inside = f"layer{number + 1}.0", width * 2**number
        for conv, out, into, size in (
            ("conv1", inside, entering, 1),
            ("conv2", inside, inside, 3),
            ("conv3", inside * 4, inside, 1),
            ("downsample.0", inside * 4, entering, 1),
        ):
            state[f"{at}.{conv}.weight"] = drawn(out, into, size, size)
        for bn, channels in (("bn1", inside), ("bn2", inside), ("bn3", inside * 4)):
            state |= norm(f"{at}.{bn}", channels)
        state |= norm(f"{at}.downsample.1", inside * 4)
        entering = inside * 4
    return state | {"fc.weight": drawn(10, entering), "fc.bias": drawn(10)}


def resnet_2d(state: dict[str, Tensor], image_bcyx: Tensor) -> Tensor:
    """The 2-D network's own way to its last feature map."""

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var"))
        return F.batch_norm(x, *parts, state[f"{name}.weight"], state[f"{name}.bias"])

    x = F.conv2d(image_bcyx, state["conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(F.relu(norm(x, "bn1")), 3, 2, 1)
    for number in range(4):
        at, stride = f"layer{number + 1}.0", 2 if number else 1
        y = F.relu(norm(F.conv2d(x, state[f"{at}.conv1.weight"]), f"{at}.bn1"))
        y = F.conv2d(y, state[f"{at}.conv2.weight"], stride=stride, padding=1)
        y = norm(F.conv2d(F.relu(norm(y, f"{at}.bn2")), state[f"{at}.conv3.weight"]), f"{at}.bn3")
        beside = F.conv2d(x, state[f"{at}.downsample.0.weight"], stride=stride)
        x = F.relu(y + norm(beside, f"{at}.downsample.1"))
    return x


def test_a_drawn_out_resnet_sees_in_even_slices_what_the_2d_one_saw() -> None:
    encoder, state = encoder_of("i3d_resnet").eval(), torchvision_resnet(RESNET["width"])
    loaded = load(encoder, state, "i3d_resnet")
    assert not [name for name in loaded if name.startswith("fc.")]
    slice_yx = torch.rand(64, 96)
    volume = slice_yx.expand(1, 48, -1, -1)
    with torch.no_grad():
        found = encoder.features(volume).tokens_bnd.reshape(3, 2, 3, -1)
        turned = F.pad(slice_yx.flip(0, 1).T, (16, 16, 16, 16)).expand(1, 3, -1, -1)
        expected = resnet_2d(state, turned)[0, :, 1:, 1:]
    # the middle slab: beyond the ends along z lies air
    middle = found[1].permute(2, 1, 0).flip(1, 2)
    torch.testing.assert_close(middle, expected, atol=1e-4, rtol=1e-4)


def merlin(state: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {f"encode_image.i3_resnet.{name}": weight for name, weight in state.items()}
    return named | {
        "encode_image.i3_resnet.classifier.weight": drawn(2, 2),
        "encode_image.i3_resnet.contrastive_head.weight": drawn(2, 2),
        "encode_text.text_encoder.embeddings.weight": drawn(2, 2),
        "logit_scale": drawn(1),
    }


def suprem(state: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {
        name.replace("swin.", "module.backbone.swinViT."): weight for name, weight in state.items()
    }
    unused = {
        "module.backbone.swinViT.layers4.0.blocks.0.norm1.weight": drawn(96),
        "module.backbone.encoder1.layer.conv1.conv.weight": drawn(2, 2),
        "module.organ_embedding": drawn(2, 2),
    }
    return named | unused


def self_supervised(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.replace("swin.", "module.").replace(".linear", ".fc"): weight
        for name, weight in state.items()
    } | {"module.rotation_head.weight": drawn(2, 2)}


@pytest.mark.parametrize("under", [None, "net", "state_dict"])
@pytest.mark.parametrize(
    ("name", "as_published"),
    [
        ("i3d_resnet", merlin),
        pytest.param("swin", suprem, marks=pytest.mark.full),
        pytest.param("swin", self_supervised, marks=pytest.mark.full),
    ],
)
def test_a_file_of_published_names_begins_the_image_side(
    name: str, as_published: Any, under: str | None, tmp_path: Path
) -> None:
    other = encoder_of(name)
    file = tmp_path / ("weights.pt" if under else "weights.safetensors")
    state = as_published({key: value.contiguous() for key, value in other.state_dict().items()})
    if under is None:
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    else:
        torch.save({under: state, "epoch": 3}, file)
    torch.manual_seed(7)
    config = config_of(name, model={"init_image": str(file)})
    model = FVLM.for_training(config.model, config.anatomies, ["The liver is normal."])
    encoder = model.image_encoder
    assert isinstance(encoder, torch.nn.Module)
    for key, weight in other.state_dict().items():
        assert torch.equal(encoder.state_dict()[key], weight), key


def test_each_weight_that_lacks_or_is_too_many_is_named() -> None:
    encoder = encoder_of("i3d_resnet")
    state = dict(encoder.state_dict())
    del state["layer2.0.conv3.weight"], state["bn1.running_var"]
    state["layer4.1.conv1.weight"] = drawn(2, 2)
    state["layer1.0.bn1.bias"] = drawn(7)
    with pytest.raises(ConfigError) as error:
        load(encoder, merlin(state), "i3d_resnet")
    told = str(error.value)
    assert "lacks bn1.running_var, layer2.0.conv3.weight" in told
    assert "unknown to this encoder, layer4.1.conv1.weight" in told
    assert "layer1.0.bn1.bias (7,) instead of (2,)" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("pos_embed", "has no weight pos_embed, which a 2-D transformer"),
        ("blocks.1.mlp.fc2.bias", r"lacks blocks\.1\.mlp\.3\.bias"),
    ],
)
def test_a_2d_checkpoint_that_lacks_something_is_refused(gone: str, told: str) -> None:
    over = {"image": {"patch_zyx": [8, PATCH, PATCH], "window_zyx": [8, 48, 48]}}
    state = mae_state()
    del state[gone]
    with pytest.raises(ConfigError, match=told):
        load(encoder_of("mae", **over), state, "mae", **over)


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_holds_no_weights_is_one_sentence(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    config = config_of("mae", model={"init_image": str(tmp_path / name)})
    with pytest.raises(ConfigError, match=rf"checkpoint .*{name}: (cannot be read|holds more)"):
        FVLM.for_training(config.model, config.anatomies, ["The liver is normal."])


def test_our_own_transformer_begins_from_a_run_of_ours() -> None:
    config = config_of("vit")
    run = FVLM.for_training(config.model, config.anatomies, ["The liver is normal."])
    encoder = encoder_of("vit")
    load(encoder, run.state_dict(), "vit")
    assert isinstance(run.image_encoder, torch.nn.Module)
    for key, weight in run.image_encoder.state_dict().items():
        assert torch.equal(encoder.state_dict()[key], weight)
