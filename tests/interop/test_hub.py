from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import geotranslate
from geotranslate import CycleGAN, Pix2Pix
from geotranslate.errors import InvalidInputError, MissingPackageError, ModelFileError
from geotranslate.interop.hubcard import MARK
from tests.interop.standin import TOKEN, StandIn, running
from tests.interop.test_stacmodel import tiny_model
from tests.stac_schemas import assert_valid
from tests.wrong_values import assert_one_sentence

NAME = "me/town"
OURS = {"README.md", "card.json", "config.json", "model.safetensors", "model.stac.json"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """Return a running stand-in of the hub."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with running() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        yield found


@pytest.fixture(scope="module")
def model() -> Pix2Pix:
    """Return a small model with measures."""
    found = tiny_model()
    found.metrics = geotranslate.metrics.Metrics({"mae": 7.25, "r2": float("nan"), "count": 9})
    found.baselines = {"constant": 20.5}
    return found


def test_pushed_model_comes_back(hub: StandIn, model: Pix2Pix, tmp_path: Path) -> None:
    address = model.push_to_hub(NAME, private=True, token=TOKEN, license="apache-2.0")
    files = hub.files(NAME)
    assert files is not None
    assert files.keys() == OURS
    assert NAME in hub.private
    assert address == f"{hub.address}/{NAME}/commit/{hub.commits[NAME][-1][0]}"
    hub.commit(NAME, {"pytorch_model.bin": b"pickle", "evil.py": b"", "more/card.json": b"{}"})
    hub.asked.clear()
    cache = tmp_path / "cache"
    found = Pix2Pix.from_pretrained(NAME, token=TOKEN, cache_dir=cache)
    assert found.digest() == model.digest()
    assert found.metrics == model.metrics
    asked = {request.rpartition("/")[2] for request in hub.asked}
    assert asked == {"card.json", "config.json", "model.safetensors", "model.stac.json"}
    again = geotranslate.from_pretrained(NAME, cache_dir=cache, local_files_only=True)
    assert type(again) is Pix2Pix
    assert geotranslate.from_pretrained(found._folder or "").digest() == model.digest()
    with pytest.raises(ModelFileError, match=r"is a Pix2Pix model; load it with Pix2Pix"):
        CycleGAN.from_pretrained(NAME, token=TOKEN, cache_dir=cache)


def test_revisions_and_the_cache_without_network(
    hub: StandIn, model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model.save_pretrained(tmp_path / "model")
    first = hub.commit(NAME, {file.name: file.read_bytes() for file in folder.iterdir()})
    tiny_model(seed=1).save(tmp_path / "other")
    hub.commit(NAME, {file.name: file.read_bytes() for file in (tmp_path / "other").iterdir()})
    cache = tmp_path / "cache"
    main = Pix2Pix.from_pretrained(NAME, cache_dir=cache)
    assert main.digest() != model.digest()
    there = Pix2Pix.from_pretrained(NAME, revision=first, cache_dir=cache)
    assert there.digest() == model.digest()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert Pix2Pix.from_pretrained(NAME, cache_dir=cache).digest() == main.digest()


def test_files_of_other_weights_and_own_readmes(hub: StandIn, model: Pix2Pix) -> None:
    hub.commit(NAME, {"README.md": b"mine", "model.onnx": b"old", "sample.png": b"old"})
    model.push_to_hub(NAME, token=TOKEN, commit_message="First")
    files = hub.files(NAME) or {}
    assert files.keys() == OURS
    assert files["README.md"] == b"mine"
    assert hub.lines[0]["value"]["summary"] == "First"  # type: ignore[index]
    hub.commit(NAME, {"README.md": MARK.encode(), "model.onnx": b"of these weights"})
    model.push_to_hub(NAME, token=TOKEN)
    files = hub.files(NAME) or {}
    assert b"me/town" in files["README.md"]
    assert files["model.onnx"] == b"of these weights"


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        (lambda hub: None, {"name": "me/none"}, "there is no such repository, or it is private"),
        (lambda hub: hub.private.add(NAME), {}, "there is no such repository, or it is private"),
        (lambda hub: None, {"revision": "v9"}, "it has no such revision; give a branch, a tag"),
        (lambda hub: hub.set(NAME, {"a.txt": b""}), {}, "it is no model of geotranslate, because"),
        (lambda hub: hub.commit(NAME, {"card.json": b"{}"}), {}, "was not written by"),
        (lambda hub: hub.commit(NAME, {"model.safetensors": b"x"}), {}, "is damaged"),
        (
            lambda hub: hub.sizes.update({"card.json": 2**40}),
            {},
            "of me/town has 1,048,576 MiB",
        ),
        (
            lambda hub: hub.sizes.update({"model.safetensors": 2**40}),
            {},
            "and at most 16,384 MiB are downloaded",
        ),
        (lambda hub: None, {"local_files_only": True}, "and it was not downloaded before"),
    ],
)
def test_what_cannot_be_fetched_is_said(
    hub: StandIn,
    model: Pix2Pix,
    tmp_path: Path,
    change: Callable[[StandIn], Any],
    arguments: dict[str, Any],
    sentence: str,
) -> None:
    folder = model.save(tmp_path / "model")
    hub.commit(NAME, {file.name: file.read_bytes() for file in folder.iterdir()})
    change(hub)
    with pytest.raises(ModelFileError, match=sentence) as caught:
        geotranslate.from_pretrained(**{"name": NAME, "cache_dir": tmp_path / "c", **arguments})
    assert_one_sentence(str(caught.value))


@pytest.mark.parametrize("token", ["wrong", None])
def test_wrong_token_is_said_but_not_shown(hub: StandIn, model: Pix2Pix, token: str | None) -> None:
    with pytest.raises(ModelFileError, match=r"^The model me/town cannot be uploaded: ") as caught:
        model.push_to_hub(NAME, token=token)
    assert_one_sentence(str(caught.value))
    assert "wrong" not in str(caught.value)
    assert not hub.commits


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "town"}, "name is 'town', which is no folder and no model of the hub"),
        ({"name": "a/b/c"}, "which is no folder and no model"),
        ({"name": "../x"}, "which is no folder and no model"),
        ({"name": 5}, "which is no folder and no model"),
        ({"name": NAME, "token": ["s3cret"]}, "token is a value of type list; give text"),
        ({"name": NAME, "revision": 5}, "revision is 5; give text"),
        ({"name": NAME, "cache_dir": 5}, "cache_dir is 5; give the path of a folder"),
        ({"name": NAME, "local_files_only": 5}, "local_files_only is 5; give True or False"),
        ({"name": Path("x"), "revision": "main"}, "revision is 'main', but x is a folder"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        geotranslate.from_pretrained(**arguments)
    assert "s3cret" not in str(caught.value)


def test_missing_package_is_named(model: Pix2Pix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPackageError, match=r"install it by: pip install 'geotranslate\[hub"):
        model.push_to_hub(NAME)


def test_saved_folder(
    small_model: Pix2Pix, model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pystac

    # Restored at the end: other tests compare the card of the same model.
    monkeypatch.setattr(small_model, "metrics", small_model.metrics)
    small_model.compute_metrics()
    folder = small_model.save_pretrained(tmp_path / "model", name=NAME, license="mit")
    assert {file.name for file in folder.iterdir()} == {*OURS, "sample.png"}
    text = (folder / "README.md").read_text()
    assert f"{small_model.metrics['mae']:.4g}" in text
    assert "![source, translation, target](sample.png)" in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"
    item = pystac.Item.from_file(folder / "model.stac.json")
    assert_valid(item)
    assert item.geometry is not None
    (folder / "README.md").write_text("mine")
    (folder / "model.onnx").write_text("of these weights")
    geotranslate.load_model(folder).save_pretrained(folder)
    assert {file.name for file in folder.iterdir()} == {*OURS, "sample.png", "model.onnx"}
    model.save_pretrained(folder)
    assert {file.name for file in folder.iterdir()} == OURS
    assert (folder / "README.md").read_text() == "mine"


def test_config_alone_is_a_card(model: Pix2Pix, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("_model_class") == "Pix2Pix"
    assert config == json.loads((folder / "card.json").read_text())
    (folder / "card.json").unlink()
    assert Pix2Pix.from_model(folder).digest() == model.digest()
    assert geotranslate.load_model(folder / "config.json").digest() == model.digest()


@pytest.mark.slow(minutes=0.4)
def test_onnx_file_is_shared(small_model: Pix2Pix, tmp_path: Path) -> None:
    folder = small_model.save_pretrained(tmp_path / "model", onnx=True)
    assert (folder / "model.onnx").stat().st_size > 1000
    assert "`model.onnx` has the scalings inside" in (folder / "README.md").read_text()
    assert "onnx" in json.loads((folder / "model.stac.json").read_text())["assets"]


def test_links_out_of_a_folder_are_refused(model: Pix2Pix, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    shutil.move(folder / "card.json", tmp_path / "elsewhere.json")
    (folder / "card.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelFileError, match=r"is a link to \S+, outside of the model's folder"):
        Pix2Pix.from_model(folder)
    (folder / "card.json").unlink()
    shutil.move(tmp_path / "elsewhere.json", folder / "kept.json")
    (folder / "card.json").symlink_to("kept.json")
    image = np.zeros((3, 64, 64), np.uint8)
    (tmp_path / "way").symlink_to(folder)
    assert Pix2Pix.from_model(tmp_path / "way").predict(image).shape == (1, 64, 64)
