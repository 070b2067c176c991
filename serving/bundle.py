"""The bundle: one immutable, checksummed, versioned directory that carries a model from trainer to serving.

It holds data only (ONNX graphs, arrays without pickle, a FAISS index, JSON) and is checked whole before
anything opens a file of it. Needs only the standard library, numpy and msgspec, because trainer, Triton's
stub and serving all import it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
MANIFEST = "manifest.json"
QUERY_TOWER = "query_tower.onnx"
RANKER = "ranker.onnx"
ITEM_EMBEDDINGS = "item_embeddings.npy"
ITEMS = "items.json"
INDEX = "index.faiss"
ENCODER = "encoder.json"
TASTE = "taste.npy"
REQUIRED_FILES = frozenset({QUERY_TOWER, RANKER, ITEM_EMBEDDINGS, ITEMS, INDEX, ENCODER})

# A name that is one path component of data: no separators, no leading dot, no code.
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_]*\.(json|npy|onnx|faiss)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION_DIRECTORY = re.compile(r"v(\d{6,})")


class BundleError(ValueError):
    """A bundle that must not be opened; the message names the file and the reason."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one file must be: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: str
    bytes: int


class Faiss(msgspec.Struct, frozen=True):
    """The kind of the index (`flat`, `ivf`, `ivfpq`, …) and its recall of the flat index's first 100."""

    kind: str
    recall_at_100: float


class DataWindow(msgspec.Struct, frozen=True):
    """The events a model has learned from: `[from_at, until_at)`, event time in microseconds of the epoch."""

    from_at: int
    until_at: int
    interactions: int = 0


class BundleColumn(msgspec.Struct, frozen=True):
    """A model input: its group (customer, item, pair, request) and kind (categorical, continuous)."""

    name: str
    group: str
    kind: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`manifest.json`: what a bundle is, where it comes from and what its files must hash to.

    `created_at` is in microseconds since the epoch. `columns` are in the order the models take them.
    `parent` is the version the training started from, `trigger` the id of what caused it.
    """

    schema: int = SCHEMA
    version: int
    shop: str
    created_at: int
    columns: tuple[BundleColumn, ...]
    data_window: DataWindow
    faiss: Faiss
    files: dict[str, FileEntry]
    parent: int | None = None
    trigger: str | None = None
    metrics: dict[str, float] = {}


class Bundle(msgspec.Struct, frozen=True):
    """A verified bundle: its directory, manifest and the manifest's own SHA-256."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    @property
    def version(self) -> int:
        """The version number, which is also Triton's model version."""
        return self.manifest.version

    def file(self, name: str) -> Path:
        """Path of a file of the manifest; raises BundleError where the manifest has none of that name."""
        if name not in self.manifest.files:
            raise BundleError(f"bundle {self.path}: has no file {name!r}")
        return self.path / name

    def items(self) -> list[str]:
        """Item ids in the row order of the embeddings and the index."""
        items: list[str] = msgspec.json.decode(self.file(ITEMS).read_bytes(), type=list[str])
        return items

    def item_embeddings(self) -> NDArray[np.float32]:
        """float32[n_items, d], mapped read-only from disk."""
        array: NDArray[np.float32] = np.load(self.file(ITEM_EMBEDDINGS), mmap_mode="r", allow_pickle=False)
        return array

    def taste(self) -> NDArray[np.float32] | None:
        """float32[2, n_items, d], mapped read-only: the tables that `feature_repo.taste.Taste.of` takes.

        None in a bundle from before there was such a thing.
        """
        if TASTE not in self.manifest.files:
            return None
        array: NDArray[np.float32] = np.load(self.file(TASTE), mmap_mode="r", allow_pickle=False)
        return array


def directory_name(version: int) -> str:
    """`v000001` for version 1."""
    return f"v{version:06d}"


def versions(bundles: Path) -> list[int]:
    """Versions published under `bundles`, ascending; staging directories and strangers are left out."""
    if not bundles.is_dir():
        return []
    matches = (_VERSION_DIRECTORY.fullmatch(entry.name) for entry in bundles.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    directory: Path,
    *,
    version: int,
    shop: str,
    created_at: int,
    columns: Sequence[BundleColumn],
    data_window: DataWindow,
    faiss: Faiss,
    parent: int | None = None,
    trigger: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Manifest:
    """Hash every file of `directory`, write `manifest.json` beside them and flush all of it to disk.

    Call it last, on a staging directory; then rename with `publish`. Raises BundleError where a required file
    is missing or a file is there that a bundle must not hold.
    """
    names = sorted(_listing(directory) - {MANIFEST})
    for name in names:
        _check_name(directory, name)
    missing = REQUIRED_FILES - set(names)
    if missing:
        raise BundleError(f"bundle {directory}: {', '.join(sorted(missing))} missing, write it before the manifest")
    files = {}
    for name in names:
        _sync(directory / name)
        files[name] = FileEntry(sha256_of(directory / name), (directory / name).stat().st_size)
    manifest = Manifest(
        version=version,
        shop=shop,
        created_at=created_at,
        columns=tuple(columns),
        data_window=data_window,
        faiss=faiss,
        files=files,
        parent=parent,
        trigger=trigger,
        metrics=dict(metrics or {}),
    )
    _check_manifest(directory, manifest)
    (directory / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    _sync(directory / MANIFEST)
    _sync(directory)
    return manifest


def publish(staging: Path, bundles: Path) -> Bundle:
    """Rename a finished staging directory (same file system) to `bundles/v<version>`, verify and return it.

    Raises BundleError where that version exists: bundles are immutable.
    """
    manifest, _ = _read_manifest(staging)
    target = bundles / directory_name(manifest.version)
    if target.exists():
        raise BundleError(f"bundle {target}: version {manifest.version} is already published; take the next number")
    open_bundle(staging)
    staging.chmod(0o755)  # temporary directories are for their maker only; Triton may be somebody else
    bundles.mkdir(parents=True, exist_ok=True)
    staging.rename(target)
    _sync(bundles)
    return open_bundle(target)


def open_bundle(path: Path | str, *, manifest_sha256: str | None = None) -> Bundle:
    """Verify a bundle whole and return it; nothing in it has been opened for use before.

    `manifest_sha256`, where given (an announcement carries it), must be the manifest's own hash.
    Raises BundleError naming file and reason: missing, altered, unexpected, linked, wrong schema.
    """
    path = Path(path)
    manifest, digest = _read_manifest(path)
    if manifest_sha256 is not None and digest != manifest_sha256:
        raise BundleError(f"bundle {path}: {MANIFEST} has sha256 {digest}, the announcement says {manifest_sha256}")
    _check_manifest(path, manifest)
    unexpected = _listing(path) - set(manifest.files) - {MANIFEST}
    if unexpected:
        raise BundleError(
            f"bundle {path}: unexpected {', '.join(sorted(unexpected))}; it may hold what its manifest lists"
        )
    for name, entry in manifest.files.items():
        _check_file(path / name, entry)
    bundle = Bundle(path=path, manifest=manifest, manifest_sha256=digest)
    _check_shapes(bundle)
    return bundle


def _read_manifest(path: Path) -> tuple[Manifest, str]:
    try:
        raw = (path / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(f"bundle {path}: {MANIFEST} cannot be read: {error.strerror}") from error
    try:
        schema = msgspec.json.decode(raw, type=dict[str, Any]).get("schema")
        if schema != SCHEMA:
            raise BundleError(f"bundle {path}: {MANIFEST} has schema {schema!r}; this program reads schema {SCHEMA}")
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleError(f"bundle {path}: {MANIFEST} is not a manifest: {error}") from error
    return manifest, hashlib.sha256(raw).hexdigest()


def _check_manifest(path: Path, manifest: Manifest) -> None:
    if manifest.version < 1:
        raise BundleError(f"bundle {path}: {MANIFEST} has version {manifest.version}; versions start at 1")
    for name, entry in manifest.files.items():
        _check_name(path, name)
        if not _SHA256.fullmatch(entry.sha256) or entry.bytes < 0:
            raise BundleError(f"bundle {path}: {MANIFEST} has a malformed checksum or size for {name}")
    missing = REQUIRED_FILES - set(manifest.files)
    if missing:
        raise BundleError(f"bundle {path}: {MANIFEST} does not list {', '.join(sorted(missing))}")


def _check_name(path: Path, name: str) -> None:
    if name == MANIFEST or not _FILE_NAME.fullmatch(name):
        raise BundleError(
            f"bundle {path}: file name {name!r} is not allowed; names are lower case, without directories, "
            "and end in .json, .npy, .onnx or .faiss"
        )


def _check_file(path: Path, entry: FileEntry) -> None:
    try:
        status = path.lstat()
    except OSError as error:
        raise BundleError(f"bundle {path.parent}: {path.name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"bundle {path.parent}: {path.name} is not a regular file")
    if status.st_size != entry.bytes:
        raise BundleError(
            f"bundle {path.parent}: {path.name} has {status.st_size} bytes, the manifest says {entry.bytes}"
        )
    digest = sha256_of(path)
    if digest != entry.sha256:
        raise BundleError(f"bundle {path.parent}: {path.name} has sha256 {digest}, the manifest says {entry.sha256}")


def _check_shapes(bundle: Bundle) -> None:
    try:
        embeddings = bundle.item_embeddings()
        items, taste = bundle.items(), bundle.taste()
    except (ValueError, msgspec.MsgspecError) as error:
        raise BundleError(
            f"bundle {bundle.path}: {ITEM_EMBEDDINGS}, {ITEMS}, {TASTE} can't be decoded: {error}"
        ) from error
    if embeddings.dtype != np.float32 or embeddings.ndim != 2:
        raise BundleError(
            f"bundle {bundle.path}: {ITEM_EMBEDDINGS} is {embeddings.dtype}{embeddings.shape}, "
            "must be float32[n_items, d]"
        )
    if len(items) != len(embeddings) or not items:
        raise BundleError(
            f"bundle {bundle.path}: {ITEMS} has {len(items)} items, {ITEM_EMBEDDINGS} {len(embeddings)} rows"
        )
    if taste is not None and (taste.dtype != np.float32 or taste.ndim != 3 or taste.shape[:2] != (2, len(items))):
        raise BundleError(
            f"bundle {bundle.path}: {TASTE} is {taste.dtype}{taste.shape}, must be float32[2, {len(items)}, d]"
        )
    if len(set(items)) != len(items):
        raise BundleError(f"bundle {bundle.path}: {ITEMS} holds an item id twice")


def _listing(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
