"""Encoders load from directories as they are published, and near texts get near vectors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from trainer.similarity.encoders import EncoderError, load, packaged

pytestmark = pytest.mark.trainer

TEXT = {
    "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 99,
    "max_position_embeddings": 20, "eos_token_id": 98, "bos_token_id": 97, "pad_token_id": 98,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2, "image_size": 30,
    "patch_size": 15,
}  # fmt: skip
WORDS = ["shirt", "dark", "blue", "red", "shoe"]


def write_tokenizer(directory: Path) -> None:
    """A byte-pair tokenizer of CLIP's kind that knows letters and a few words."""
    letters = [chr(97 + k) for k in range(26)]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = ["".join(parts[:2]), *parts[2:]]
    merges = list(dict.fromkeys(merges))
    tokens = dict.fromkeys(
        [*letters, *(f"{each}</w>" for each in letters), *(each.replace(" ", "") for each in merges)]
    )
    vocabulary = {token: number for number, token in enumerate(tokens)}
    vocabulary |= {"<|startoftext|>": 97, "<|endoftext|>": 98}
    assert len(tokens) < 97
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 20, "unk_token": "<|endoftext|>"})
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP, random but whole, saved as a published one is; and the model itself."""
    from transformers import CLIPConfig, TFCLIPModel

    directory = tmp_path_factory.mktemp("clip")
    model = TFCLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16))
    model(model.dummy_inputs)  # has weights only from here on
    model.save_pretrained(directory, safe_serialization=True)
    write_tokenizer(directory)
    return directory, model


def test_a_clip_gives_its_projected_text_features(clip, tmp_path):
    from transformers import AutoTokenizer

    directory, model = clip
    encoder = load(directory, tmp_path)
    texts = ["dark blue shirt", "red shoe", "dark blue shirt red shoe blue red dark shoe shirt dark blue red shoe shoe"]
    found = encoder.encode(texts)
    assert (encoder.dimension, found.shape) == (16, (3, 16))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    tokens = AutoTokenizer.from_pretrained(directory)(
        texts, padding=True, truncation=True, max_length=20, return_tensors="tf"
    )
    wanted = model.get_text_features(**tokens).numpy()
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


def test_a_text_half_saved_by_pytorch_gives_the_same(clip, tmp_path):
    """As CLIPTextModelWithProjection writes it: names and orientation are PyTorch's, the projection lies beside."""
    from safetensors.numpy import save_file

    directory, model = clip
    renamed = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}
    state = {}
    for weight in model.weights:
        *path, last = weight.name.split(":")[0].partition("clip/")[2].split("/")
        value = weight.numpy().T if last == "kernel" else weight.numpy()
        if path and path[0] in ("text_model", "text_projection"):
            name = ".".join([*path, renamed.get(last, last)]).replace("layers_._", "layers.")
            state[name] = np.ascontiguousarray(value)
    half = tmp_path / "half"
    half.mkdir()
    write_tokenizer(half)
    (half / "config.json").write_text(
        json.dumps(
            {
                **TEXT,
                "model_type": "clip_text_model",
                "projection_dim": 16,
                "architectures": ["CLIPTextModelWithProjection"],
            }
        )
    )
    save_file(state, half / "model.safetensors", metadata={"format": "pt"})
    texts = ["dark blue shirt", "red shoe"]
    np.testing.assert_allclose(load(half, tmp_path).encode(texts), load(directory, tmp_path).encode(texts), atol=1e-5)


def test_the_packaged_encoder_knows_bread_from_cola(tmp_path_factory):
    cache = tmp_path_factory.mktemp("encoders")
    encoder = load(None, cache)
    texts = ["BREAD italian french", "BREAD white sandwich", "SOFT DRINKS cola"]
    bread, sandwich, cola = encoder.encode(texts)
    assert bread @ sandwich > 0.4 > 0.2 > bread @ cola
    assert load(None, cache).name == encoder.name
    assert packaged(cache).parent == cache
    # Neither its neighbours in a batch nor the padding they bring change a vector.
    many = encoder.encode([*(f"{'very ' * k}long text" for k in range(70)), texts[0]])
    np.testing.assert_allclose(many[-1], bread, atol=1e-5)


def test_a_model_that_lacks_weights_is_refused(clip, tmp_path):
    from safetensors.numpy import load_file, save_file

    directory, _ = clip
    half = tmp_path / "lacking"
    shutil.copytree(directory, half)
    weights = load_file(half / "model.safetensors")
    lost = next(name for name in weights if "text_projection" in name)
    del weights[lost]
    save_file(weights, half / "model.safetensors", metadata={"format": "tf"})
    with pytest.raises(EncoderError, match="lacks 1 weights of a clip model"):
        load(half, tmp_path)


def test_what_is_no_encoder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no text encoder in"):
        load(tmp_path / "nowhere", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EncoderError, match=r"has no model\.safetensors"):
        load(tmp_path, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(EncoderError, match="'t5'; known are bert"):
        load(tmp_path, tmp_path)
