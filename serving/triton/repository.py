"""Triton's model repository: a bundle is published as one version of `retriever` and of `ranker`.

The configuration never changes: dimensions are dynamic and the version policy is `all`. Which versions are
served is decided by which version directories are there; a directory appears and disappears by one rename,
and Triton looks when it is told to load.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from serving.bundle import Bundle, BundleError, open_bundle

RETRIEVER = "retriever"
RANKER = "ranker"
MODELS = (RETRIEVER, RANKER)
_SOURCES = {name: Path(__file__).with_name(f"{name}.py") for name in MODELS}

_INPUTS = [("CATEGORICAL", "TYPE_INT32", "-1, -1"), ("CONTINUOUS", "TYPE_FP32", "-1, -1")]
_TENSORS = {
    RETRIEVER: (
        [*_INPUTS, ("K", "TYPE_INT32", "1")],
        [("ITEMS", "TYPE_INT64", "-1, -1"), ("SCORES", "TYPE_FP32", "-1, -1")],
    ),
    RANKER: (_INPUTS, [("SCORE", "TYPE_FP32", "-1")]),
}


def configuration(model: str, instances: int) -> str:
    """The text of `config.pbtxt` for `model`; `instances` is the number of stub processes a version gets."""
    inputs, outputs = _TENSORS[model]

    def tensors(kind: str, rows: list[tuple[str, str, str]]) -> str:
        entries = ",\n".join(
            f'  {{ name: "{name}" data_type: {data_type} dims: [ {dims} ] }}' for name, data_type, dims in rows
        )
        return f"{kind} [\n{entries}\n]\n"

    return (
        f'name: "{model}"\nbackend: "python"\nmax_batch_size: 0\n'
        + tensors("input", inputs)
        + tensors("output", outputs)
        + f"instance_group [ {{ count: {instances} kind: KIND_CPU }} ]\n"
        + "version_policy: { all { } }\n"
    )


class ModelRepository:
    """The directory that Triton reads models from.

    instances: stub processes a version, by model; a second ranker nearly doubles throughput on two cores.
    """

    def __init__(self, path: Path, instances: dict[str, int] | None = None) -> None:
        self.path = path
        self.instances = {RETRIEVER: 1, RANKER: 2} | (instances or {})

    def prepare(self) -> None:
        """Write the models' configurations where they are missing or differ."""
        for model in MODELS:
            directory = self.path / model
            directory.mkdir(parents=True, exist_ok=True)
            text = configuration(model, self.instances[model])
            target = directory / "config.pbtxt"
            if not target.exists() or target.read_text() != text:
                _write(target, text)

    def publish(self, bundle: Bundle) -> None:
        """Add the version directories of `bundle`; ones that already name this bundle stay as they are."""
        self.prepare()
        for model in MODELS:
            target = self.path / model / str(bundle.version)
            if target.exists() and self._current(target, model, bundle):
                continue
            staging = self._workplace(f"{model}-{bundle.version}-")
            shutil.copyfile(_SOURCES[model], staging / "model.py")
            (staging / "bundle").write_text(f"{bundle.path.resolve()}\n")
            if target.exists():
                self._discard(target)
            staging.rename(target)

    def versions(self) -> list[int]:
        """Versions that every model has, ascending."""
        found = [
            {int(entry.name) for entry in (self.path / model).glob("[0-9]*") if entry.name.isdigit()}
            for model in MODELS
        ]
        return sorted(set.intersection(*found))

    def remove(self, version: int) -> None:
        """Take the version's directories away; Triton drops it at its next load of the models."""
        for model in MODELS:
            target = self.path / model / str(version)
            if target.exists():
                self._discard(target)

    def remove_unreadable(self) -> list[int]:
        """Remove versions whose bundle cannot be opened any more; which ones."""
        unreadable = [version for version in self.versions() if not self._readable(version)]
        for version in unreadable:
            self.remove(version)
        return unreadable

    def _readable(self, version: int) -> bool:
        try:
            open_bundle((self.path / RETRIEVER / str(version) / "bundle").read_text().strip())
        except (BundleError, OSError):
            return False
        return True

    def touch(self) -> None:
        """Make Triton's next load start every version anew, as after the death of a stub."""
        for model in MODELS:
            for source in (self.path / model).glob("*/model.py"):
                os.utime(source)

    def _current(self, target: Path, model: str, bundle: Bundle) -> bool:
        named = (target / "bundle").read_text().strip()
        return named == str(bundle.path.resolve()) and (
            (target / "model.py").read_bytes() == _SOURCES[model].read_bytes()
        )

    def _workplace(self, prefix: str) -> Path:
        """A new directory beside the repository: Triton takes any directory inside for a model."""
        directory = self.path.with_name(f"{self.path.name}.staging")
        directory.mkdir(exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
        workplace.chmod(0o755)
        return workplace

    def _discard(self, target: Path) -> None:
        grave = self._workplace("gone-")
        target.rename(grave / target.name)
        shutil.rmtree(grave)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text)
    temporary.rename(path)
