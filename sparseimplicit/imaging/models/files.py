"""Models with their parameters as files: blocks by name, and what they are in JSON. No pickle."""

from __future__ import annotations

import io
import json
import struct
import sysconfig
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...errors import ConfigError, SparseImplicitError
from ...files import write_atomically
from ...linear.operator import Array
from ...packing import Packing
from .model import Model, Shape
from .registry import model_named

FORMAT: Final = 1
DESCRIPTION: Final = "description"  # the member that is no block: JSON text as bytes


@dataclass(frozen=True)
class SavedModel:
    """A model and θ, with what is known of them.

    Attributes
    ----------
    model, theta
    shape : (int, int) or None
        Of the images that θ is for, where it holds a map; None for images of any size.
    about : dict
        Plain values: ``sigma``, the noise it is for; what trained it, scores.
    name : str
        Of the file, for tables.
    """

    model: Model
    theta: Array
    shape: Shape | None = None
    about: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def sigma(self) -> float | None:
        """Standard deviation of the noise it is for, in grey levels, if known."""
        sigma = self.about.get("sigma")
        return None if sigma is None else float(sigma)

    def theta_for(self, shape: Shape) -> Array:
        """Return θ for an image of this shape.

        Raises
        ------
        ConfigError
            If θ holds a map of another shape.
        """
        if self.shape is not None and tuple(shape) != tuple(self.shape):
            raise ConfigError(
                f"{self.name or 'the model'} is a map for images of shape {tuple(self.shape)}; "
                f"this one has {tuple(shape)}.",
                fix="use it for images of that shape, or a model without a map.",
            )
        return self.theta


def write_model(
    path: str | Path,
    model: Model,
    theta: Any,
    about: Mapping[str, Any] | None = None,
    *,
    shape: Shape | None = None,
) -> None:
    """Write a model and θ as one ``.npz``, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.npz``.
    model : Model
    theta : array, (packing.size,)
    about : mapping, optional
        Plain values that JSON knows; by convention ``sigma``, ``trained_on``, ``scores``.
    shape : (int, int), optional
        Of the images, for models with a map; needed there.

    Raises
    ------
    ConfigError
        If the path has another ending, cannot be written, or ``about`` is no JSON.
    ShapeError, NonFinite
        If θ does not fit the model.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ConfigError(f"{path}: a model is written as .npz.", fix="end the name in .npz.")
    packing, mapped = _packing(model, shape)
    blocks = dict(packing.unpack(np.asarray(theta, dtype=np.float64).reshape(-1)))
    packing.pack(**blocks)  # refuses NaN and inf, by name
    record = {
        "format": FORMAT,
        "kind": model.kind,
        "settings": model.settings(),
        "shape": list(shape) if mapped and shape is not None else None,
        "about": dict(about or {}),
    }
    try:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: what is told about the model is no JSON: {error}.",
            fix="give plain numbers, strings, lists and dictionaries.",
        ) from error
    members: dict[str, Any] = {name: np.array(block) for name, block in blocks.items()}
    members[DESCRIPTION] = np.frombuffer(text.encode(), dtype=np.uint8)
    held = io.BytesIO()
    np.savez_compressed(held, **members)
    write_atomically(path, lambda file: file.write(held.getvalue()))


def read_model(path: str | Path) -> SavedModel:
    """Read what `write_model` wrote.

    Raises
    ------
    ConfigError
        If the file is missing, damaged, of another kind or a newer version, or if θ does not fit
        or is not finite; with its name.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            members = {name: np.asarray(held[name]) for name in held.files}
        record = json.loads(members.pop(DESCRIPTION).tobytes().decode())
        version, kind, settings = record["format"], record["kind"], record["settings"]
        shape, about = record["shape"], dict(record["about"])
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist.", fix="check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, struct.error,
            zipfile.BadZipFile, zlib.error, NotImplementedError) as error:  # fmt: skip
        raise ConfigError(
            f"{path} is no model, or is damaged: {error or type(error).__name__}.",
            fix="give a file that `sparseimplicit learn` or `write_model` wrote.",
        ) from error
    if version != FORMAT:
        raise ConfigError(
            f"{path} is a model file of version {version}; this package reads {FORMAT}.",
            fix="update the package, or write the model again.",
        )
    try:
        model = model_named(kind, **settings)
        packing, mapped = _packing(model, shape)
        theta = packing.pack(**members)
    except (SparseImplicitError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} does not hold what its description says: {getattr(error, 'what', error)}",
            fix=getattr(error, "fix", None) or "write the model again.",
        ) from error
    return SavedModel(
        model, theta, (int(shape[0]), int(shape[1])) if mapped else None, about, path.stem
    )


def _packing(model: Model, shape: Any) -> tuple[Packing, bool]:
    """Return the blocks of θ, and whether they depend on the shape of the image."""
    mapped = model.packing((2, 3)).shapes != model.packing((3, 2)).shapes
    if not mapped:
        return model.packing((1, 1)), False
    if shape is None or len(shape) != 2:
        raise ConfigError(
            f"the model '{model.kind}' holds a map; of which shape is not said.",
            fix="give shape=, that of the images.",
        )
    return model.packing((int(shape[0]), int(shape[1]))), True


def model_path(name: str | Path) -> Path:
    """Return the file of a model that is shipped, ``"foe48-sigma25"``, or of a path.

    Raises
    ------
    ConfigError
        If there is none, with the names of those that are shipped.
    """
    path = Path(name)
    if path.suffix == ".npz" and path.is_file():
        return path
    for folder in _folders():
        shipped = folder / f"{name}.npz"
        if path.name == str(name) and shipped.is_file():
            return shipped
    if path.exists():
        inside = path / "model.npz"
        raise ConfigError(
            f"{path} is no model: a model is a file that ends in .npz.",
            fix=f"give {inside}." if inside.is_file() else "give the model.npz of a training.",
        )
    raise ConfigError(
        f"there is no model '{name}', neither as a file nor among those shipped.",
        fix=f"give a .npz file, or one of: {', '.join(available_models()) or '(none shipped)'}.",
    )


def available_models() -> tuple[str, ...]:
    """Return the names of the models that are shipped."""
    found = {path.stem for folder in _folders() for path in folder.glob("*.npz")}
    return tuple(sorted(found))


def _folders() -> list[Path]:
    """Return where shipped models may be: in a clone beside the package, or where pip put them."""
    clone = Path(__file__).resolve().parents[3] / "datasets" / "models"
    installed = [
        Path(sysconfig.get_path("data", scheme)) / "share" / "sparseimplicit" / "models"
        for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    ]
    return [folder for folder in (clone, *installed) if folder.is_dir()]
