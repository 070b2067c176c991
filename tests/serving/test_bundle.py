"""A bundle is opened only when every byte of it is what the manifest says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from serving import bundle as bundles
from serving.bundle import BundleColumn, BundleError, DataWindow, Faiss, open_bundle, publish, write_manifest


def write(directory: Path, version: int = 1, items: tuple[str, ...] = ("a", "b", "c")) -> None:
    directory.mkdir(parents=True)
    for name in (bundles.QUERY_TOWER, bundles.RANKER, bundles.INDEX):
        (directory / name).write_bytes(name.encode())
    (directory / bundles.ENCODER).write_text("{}")
    (directory / bundles.ITEMS).write_bytes(msgspec.json.encode(items))
    np.save(directory / bundles.ITEM_EMBEDDINGS, np.eye(len(items), 4, dtype=np.float32))
    write_manifest(
        directory,
        version=version,
        shop="complete_journey",
        created_at=1_700_000_000_000_000,
        columns=[BundleColumn("recency", "customer", "continuous")],
        data_window=DataWindow(0, 10, 3),
        faiss=Faiss("flat", 1.0),
        metrics={"auc": 0.9},
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_was_written_is_read_back(directory: Path) -> None:
    bundle = open_bundle(directory)
    assert (bundle.version, bundle.manifest.shop, bundle.manifest.metrics) == (
        1,
        "complete_journey",
        {"auc": 0.9},
    )
    assert bundle.items() == ["a", "b", "c"]
    np.testing.assert_array_equal(bundle.item_embeddings(), np.eye(3, 4, dtype=np.float32))
    assert open_bundle(directory, manifest_sha256=bundle.manifest_sha256) == bundle
    with pytest.raises(BundleError, match="the announcement says"):
        open_bundle(directory, manifest_sha256="0" * 64)


def rewrite_manifest(directory: Path, change: Callable[[dict[str, object]], None]) -> None:
    manifest = msgspec.json.decode((directory / bundles.MANIFEST).read_bytes())
    change(manifest)
    (directory / bundles.MANIFEST).write_bytes(msgspec.json.encode(manifest))


def flip_a_bit(directory: Path) -> None:
    path = directory / bundles.RANKER
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def link(directory: Path) -> None:
    (directory / bundles.RANKER).rename(directory.parent / "elsewhere.onnx")
    (directory / bundles.RANKER).symlink_to(directory.parent / "elsewhere.onnx")


def move_out(manifest: dict[str, object]) -> None:
    files = manifest["files"]
    assert isinstance(files, dict)
    files["../ranker.onnx"] = files.pop("ranker.onnx")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered": (flip_a_bit, r"ranker\.onnx has sha256"),
    "cut short": (lambda d: (d / "index.faiss").write_bytes(b""), r"index\.faiss has 0 bytes"),
    "gone": (lambda d: (d / "encoder.json").unlink(), r"encoder\.json cannot be read"),
    "added": (lambda d: (d / "model.py").write_text("print()"), r"unexpected model\.py"),
    "a link": (link, r"ranker\.onnx is not a regular file"),
    "no manifest": (lambda d: (d / "manifest.json").unlink(), r"manifest\.json cannot be read"),
    "not json": (lambda d: (d / "manifest.json").write_text("{"), "is not a manifest"),
    "future schema": (
        lambda d: rewrite_manifest(d, lambda m: m.update(schema=2)),
        "schema 2; .* reads schema 1",
    ),
    "traversal": (lambda d: rewrite_manifest(d, move_out), r"'\.\./ranker\.onnx' is not allowed"),
    "unknown field": (lambda d: rewrite_manifest(d, lambda m: m.update(code="x")), "is not a manifest"),
    "version 0": (lambda d: rewrite_manifest(d, lambda m: m.update(version=0)), "versions start at 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_refused(directory: Path, damage: str) -> None:
    inflict, message = DAMAGES[damage]
    inflict(directory)
    with pytest.raises(BundleError, match=message):
        open_bundle(directory)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (bundles.ITEM_EMBEDDINGS, np.eye(3, dtype=np.float32), r"2 items, .* 3 rows"),
        (
            bundles.TASTE,
            np.zeros((2, 3, 4), np.float32),
            r"taste\.npy is float32\(2, 3, 4\), must be float32\[2, 2, d\]",
        ),
        (bundles.TASTE, np.zeros((2, 2, 4)), r"taste\.npy is float64"),
    ],
)
def test_rows_and_items_must_agree(tmp_path: Path, name: str, array: NDArray[Any], message: str) -> None:
    write(tmp_path / "good", items=("a", "b"))
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    np.save(tmp_path / "bad" / name, array)
    original = open_bundle(tmp_path / "good").manifest
    write_manifest(
        tmp_path / "bad",
        version=1,
        shop="x",
        created_at=0,
        columns=original.columns,
        data_window=original.data_window,
        faiss=original.faiss,
    )
    with pytest.raises(BundleError, match=message):
        open_bundle(tmp_path / "bad")


def test_a_bundle_may_have_no_tables_of_taste(directory: Path) -> None:
    """Those from before there was such a thing have none."""
    assert open_bundle(directory).taste() is None


def test_a_version_is_published_once(tmp_path: Path) -> None:
    write(tmp_path / "staging", version=7)
    published = publish(tmp_path / "staging", tmp_path / "bundles")
    assert published.path == tmp_path / "bundles" / "v000007"
    assert not (tmp_path / "staging").exists()
    assert bundles.versions(tmp_path / "bundles") == [7]
    write(tmp_path / "again", version=7)
    with pytest.raises(BundleError, match="already published"):
        publish(tmp_path / "again", tmp_path / "bundles")


def test_the_manifest_is_written_only_over_a_complete_directory(tmp_path: Path) -> None:
    write(tmp_path / "bundle")
    m = open_bundle(tmp_path / "bundle").manifest
    (tmp_path / "bundle" / bundles.INDEX).unlink()
    with pytest.raises(BundleError, match=r"index\.faiss missing"):
        write_manifest(
            tmp_path / "bundle",
            version=1,
            shop="x",
            created_at=0,
            columns=m.columns,
            data_window=m.data_window,
            faiss=m.faiss,
        )
