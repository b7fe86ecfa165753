"""Models that ArcGIS wrote, whose definitions can be read but whose weights cannot be used."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from geotranslate.errors import InvalidInputError
from geotranslate.schema import MOST_BYTES, parse_json

ENDINGS = (".emd", ".dlpk")
"""Endings of model definitions and of packages that hold one."""
TRANSLATORS = ("Pix2Pix", "CycleGAN", "Pix2PixHD")


def esri_model(path: Path) -> str:
    """Return a sentence that says what is known of a model of ArcGIS and how to train one here."""
    try:
        values = _definition(path)
    except (OSError, InvalidInputError, zipfile.BadZipFile, RuntimeError, ValueError) as error:
        reason = str(error).strip().rstrip(".")
        return (
            f"{path} is a model definition of ArcGIS that cannot be read ({reason}); give the "
            "folder that save wrote."
        )
    name = values.get("ModelName", values.get("ModelType"))
    if "MetaDataMode" in values and "ModelName" not in values:
        return f"{path} describes training chips; give its folder to prepare_data."
    kind = name if name in TRANSLATORS else "Pix2Pix"
    size, backbone = _whole(values.get("ImageHeight")), values.get("backbone")
    known = [f"a {name}" if isinstance(name, str) else "a model"]
    known += [f"chips of {size} px"] if size else []
    encoder = backbone if kind == "Pix2Pix" and isinstance(backbone, str) and backbone else ""
    known += [f"the backbone {encoder}"] if encoder else []
    model = f"{kind}(data{f', backbone={encoder!r}' if encoder else ''})"
    return (
        f"{path} was written by ArcGIS ({', '.join(known)}), whose networks are others, so that "
        "its weights cannot be used; train one on the same chips: data = prepare_data(folder), "
        f"{model}.fit()."
    )


def _definition(path: Path) -> dict[str, Any]:
    """Return the values of a definition, or of the one inside a package.

    Raises:
        OSError: The file cannot be read.
        InvalidInputError: It is not a JSON object.
        BadZipFile: The package is damaged.
    """
    if path.suffix.lower() == ".dlpk":
        with zipfile.ZipFile(path) as package:
            names = [name for name in package.namelist() if name.lower().endswith(".emd")]
            if not names:
                raise InvalidInputError("it holds no .emd")
            with package.open(names[0]) as file:
                content = file.read(MOST_BYTES + 1)
    else:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    values = parse_json(content)
    if not isinstance(values, dict):
        raise InvalidInputError("it is no JSON object")
    return values


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 10**6 else 0
