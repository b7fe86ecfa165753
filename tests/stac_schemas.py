"""Validation of STAC Items without network, by the schemas beside the repository."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import SHARED_DATA

FOLDER = SHARED_DATA / "stac_schemas"
FILES = {
    "https://stac-extensions.github.io/mlm/v1.5.2/schema.json": "mlm_schema.json",
    **{
        f"https://stac-extensions.github.io/{name}/v1.1.0/schema.json": f"sch_{name}.json"
        for name in ("raster", "classification", "processing")
    },
}
NOT_HERE = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"


def assert_valid(item: Any) -> None:
    """Validate the core of a `pystac.Item` and its extensions, except projection; skip without.

    Raises:
        STACValidationError: It is not valid.
    """
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is not there")
    from pystac.stac_object import STACObjectType
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    validator = JsonSchemaSTACValidator()
    for url, file in FILES.items():
        schema = json.loads((FOLDER / file).read_text()) | {"$id": url}
        validator.schema_cache[url] = schema
    used = [url for url in item.stac_extensions if url != NOT_HERE]
    assert {*used} <= FILES.keys()
    values = item.to_dict(transform_hrefs=False)
    validator.validate(values, STACObjectType.ITEM, "1.1.0", used)
