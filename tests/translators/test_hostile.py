"""Laws: no file of a model does anything but load right or end in one sentence."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, load_model
from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import ModelFileError
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.translators.base import Translator
from tests.translators.hostile import Files, loaded_or_refused, mutated, with_digest
from tests.wrong_values import GIB

HD: dict[str, Any] = {"n_downsample_global": 2, "n_blocks_global": 1, "n_layers": 2}


def _side(bands: int, classes: Classes | None = None) -> Side:
    numbers = tuple(range(1, bands + 1))
    scaling = Scaling.linear((0.0,) * bands, (255.0,) * bands)
    facts = BandFacts(colors=("gray",) * bands)
    means = (100.0,) * bands
    return Side(bands, "uint8", None, ("",) * bands, numbers, bands, classes, means, scaling, facts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return folders of a model of each class, one of them of classes and one with an average."""
    place = ("EPSG:32633", (1.0, 1.0))
    ground = (14.9, -1.0, 15.1, 45.5)
    names = ("a", "b"), ("c",)
    data = DataCard(_side(3), _side(1), 64, None, *place, *names, 42, footprint=ground)
    measured = replace(
        _side(1),
        dtype="float32",
        scaling=Scaling(((0.0, 9.0, 99.0),), (-1.5, 0.0, 2.5), bounded=False),
        extent=((-5.0, 500.0),),
        median=(8.0,),
    )
    classes = Classes((1, 2, 5), ((1, 0, 0, 0, 255), (2, 1, 1, 1, 255)))
    models: list[Translator] = [
        Pix2Pix(data, recipe="seamless", ngf=4, ndf=4),
        CycleGAN(data, ngf=4, ndf=4, gen_blocks=1),
        Pix2PixHD(replace(data, source=_side(1, classes)), ngf=4, ndf=4, **HD),
        Pix2Pix(replace(data, target=measured), recipe="measurement", ngf=4),
    ]
    models[0]._average(0.5)
    models[0].history.append({"train_loss": 0.5, "l1": float("nan")})
    folder = tmp_path_factory.mktemp("models")
    return [
        _of_one_version(model.save(folder / f"model{number}"))
        for number, model in enumerate(models)
    ]


def _of_one_version(folder: Path) -> Path:
    """Make the card the same whatever versions of packages are installed."""
    values = json.loads((folder / "card.json").read_text())
    values["versions"] = dict.fromkeys(values["versions"], "1.0")
    (folder / "card.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def models(made: list[Path], tmp_path: Path) -> list[Path]:
    """Return copies of the folders."""
    return [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in made]


def _files(folder: Path) -> Files:
    return (folder / "card.json").read_bytes(), (folder / "model.safetensors").read_bytes()


def _change(folder: Path, part: str, **entries: Any) -> None:
    """Change entries of a part of the card, such as "data.source"."""
    card, weights = _files(folder)
    values = json.loads(card)
    at = values
    for name in filter(None, part.split(".")):
        at = at[name]
    at |= entries
    (folder / "card.json").write_bytes(with_digest(json.dumps(values).encode(), weights))


def test_mutations_load_right_or_are_refused(models: list[Path], tmp_path: Path) -> None:
    originals = [_files(model) for model in models]
    folder = tmp_path / "mutated"
    folder.mkdir()
    outcomes = []
    for number in range(60):
        rng = random.Random(number)
        outcomes.append(loaded_or_refused(folder, mutated(rng.choice(originals), rng)))
    assert 0 < sum(outcome.loaded for outcome in outcomes) < len(outcomes)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("seed", [10_000, 20_000])
def test_thousand_mutations_take_little_time_and_memory(
    models: list[Path], tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / "mutated"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.translators.hostile_child", folder, seed, 1000, *models]
    done = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["wrong"], "\n".join(found["wrong"])
    assert not found["asked"]
    assert found["grown"] < GIB
    assert found["slowest"] < 5
    assert 0 < found["loaded"] < 1000


@pytest.mark.parametrize(
    "backbone",
    [
        *("tu-hf-hub:timm/resnet18.a1_in1k", "tu-hf_hub:x/y", "hf-hub:x/y", "tu-local-dir:/etc"),
        *("tu-timm/resnet18", "tu-", "tu-../resnet18", "resnet19", 5, [], True, {}),
    ],
)
def test_backbone_of_a_card_leads_nowhere(
    models: list[Path], backbone: Any, no_network: list[str]
) -> None:
    _change(models[0], "options", backbone=backbone, depth=None)
    with pytest.raises(ModelFileError, match=r"backbone is .*; give "):
        load_model(models[0])
    assert not no_network


def test_crs_of_a_card_leads_nowhere(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "crs.wkt").write_text("EPSG:4326")
    for crs in ("http://127.0.0.1:9/x", str(tmp_path / "crs.wkt"), "+init=file:x", 5, []):
        _change(models[0], "data", crs=crs)
        with pytest.raises(ModelFileError, match=r"card\.data\.crs is .*; give "):
            load_model(models[0])


def test_options_that_are_no_part_of_a_card_are_refused_by_name(
    models: list[Path], tmp_path: Path
) -> None:
    for name, value in {"pretrained_path": str(models[0]), "data": None, "x": 1}.items():
        other = tmp_path / name
        Pix2Pix(load_model(models[0]).card, recipe="seamless", ngf=4, ndf=4).save(other)
        _change(other, "options", **{name: value})
        with pytest.raises(ModelFileError, match=f"options has an entry '{name}'"):
            load_model(other)


@pytest.mark.parametrize(
    "options",
    [
        *({"ngf": 320}, {"ngf": 1024}, {"ndf": 1024}, {"ngf": 10**6}, {"n_layers": 5}),
        *({"backbone": "tu-convnext_xxlarge", "depth": None}, {"generator": "resnet9"}),
    ],
)
def test_declared_sizes_take_no_memory(models: list[Path], options: dict[str, Any]) -> None:
    _change(models[0], "options", **options)
    before = psutil.Process().memory_info().rss
    with pytest.raises(ModelFileError):
        load_model(models[0])
    assert psutil.Process().memory_info().rss - before < GIB / 4


@pytest.mark.parametrize(
    ("part", "entries"),
    [
        ("", {"format_version": float("nan")}),
        ("", {"format_version": True}),
        ("", {"metrics": 5}),
        ("", {"history": [5]}),
        ("", {"history": {"l1": 1.0}}),
        ("", {"extra": 1}),
        ("data", {"resolution": []}),
        ("data", {"resolution": ["nan", "nan"]}),
        ("data", {"resize_to": "x"}),
        ("data", {"paired": "no"}),
        ("data", {"seed": -5}),
        ("data", {"seed": 1.0}),
        ("data", {"chip_size": 2**30}),
        ("data", {"chip_size": True}),
        ("data", {"train_pairs": "abc"}),
        ("data.source", {"mean": ["nan"] * 3}),
        ("data.source", {"bands": 3.0}),
        ("data.source", {"indexes": [True, 2, 3]}),
        ("data.target.scaling", {"levels": [0.0]}),
        ("data.target.scaling", {"knots": []}),
        ("options", {"ngf": True}),
        ("options", {"ngf": 4.0}),
        ("options", {"dropout": "0.5"}),
        ("options", {"norm": None}),
        ("metrics", {"confusion": [[1, 2], [3]]}),
        ("metrics", {"mae": []}),
    ],
)
def test_wrong_entry_of_a_card_is_named(
    models: list[Path], part: str, entries: dict[str, Any]
) -> None:
    _change(models[0], part, **entries)
    (name,) = entries
    with pytest.raises(ModelFileError, match=rf"card.*\b{name}\b|options\.{name} is "):
        load_model(models[0])


@pytest.mark.parametrize("nodata", ["nan", "-inf", -9999, 0.5])
def test_nodata_that_the_dtype_does_not_have_is_that_of_no_pixel(
    models: list[Path], nodata: Any
) -> None:
    image = np.full((3, 64, 64), 7.0, np.float32)
    expected = load_model(models[0]).predict(image)
    image[:, :2] = np.nan
    _change(models[0], "data.target", nodata=nodata)
    found = load_model(models[0]).predict(image)
    assert found.dtype == expected.dtype == np.uint8
    assert found.shape == expected.shape


def test_missing_options_are_named(models: list[Path]) -> None:
    for place, name in ((0, "norm"), (1, "gen_blocks"), (2, "n_dscr")):
        card, weights = _files(models[place])
        values = json.loads(card)
        del values["options"][name]
        changed = with_digest(json.dumps(values).encode(), weights)
        (models[place] / "card.json").write_bytes(changed)
        with pytest.raises(ModelFileError, match=rf"options\.{name} is missing"):
            load_model(models[place])


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_weights_of_another_dtype_are_refused(models: list[Path], dtype: str) -> None:
    file = models[0] / "model.safetensors"
    weights = load_file(file)
    name = "generator.head.1.weight"
    weights[name] = weights[name].to(getattr(torch, dtype))
    save_file(weights, file)
    _change(models[0], "")
    with pytest.raises(ModelFileError, match=rf"{name} is .*{dtype}.* there and .*float32"):
        load_model(models[0])


def test_weights_in_double_precision_are_rounded(models: list[Path]) -> None:
    file = models[0] / "model.safetensors"
    wide = {
        name: value.double() + 1e-12 if value.is_floating_point() else value
        for name, value in load_file(file).items()
    }
    save_file(wide, file)
    _change(models[0], "")
    for name, value in load_model(models[0]).pair.state_dict().items():
        assert torch.equal(value.cpu(), wide[name].to(value.dtype)), name
        assert value.dtype != torch.float64


def test_what_was_loaded_does_not_need_its_files(models: list[Path]) -> None:
    model = load_model(models[0])
    digest = model.digest()
    file = models[0] / "model.safetensors"
    file.write_bytes(bytes(file.stat().st_size))
    assert model.digest() == digest


def test_loaded_starts_translate_as_they_did(models: list[Path]) -> None:
    source = torch.rand(1, 3, 64, 64)
    first, again = (load_model(models[3]).pair.generator for _ in range(2))
    assert not any(value.is_meta for value in first.state_dict().values())
    buffers = dict(first.named_buffers())
    assert any(name.endswith("pyramid.kernel") for name in buffers)
    assert not any(value.is_meta for value in buffers.values())
    assert not any(value.requires_grad for value in first.start.parameters())
    with torch.no_grad():
        torch.testing.assert_close(first.eval()(source), again.eval()(source), rtol=0, atol=0)


def test_cards_of_before_lack_what_came_later(models: list[Path]) -> None:
    card, weights = _files(models[0])
    values = json.loads(card)
    for name in ("start", "gan_after"):
        del values["options"][name]
    for side in ("source", "target"):
        del values["data"][side]["extent"], values["data"][side]["median"]
        del values["data"][side]["scaling"]["bounded"]
    del values["baselines"]
    was = load_model(models[0])
    (models[0] / "card.json").write_bytes(with_digest(json.dumps(values).encode(), weights))
    model = load_model(models[0])
    assert model.config == was.config
    assert model.config.start == "none" and model.config.gan_after == 0
    assert model.card == was.card
    assert model.baselines == {}


@pytest.mark.parametrize(
    ("part", "entries", "sentence"),
    [
        ("options", {"recipe": "auto"}, r"recipe is 'auto'; give one of measurement, "),
        ("options", {"start": "auto"}, r"start is 'auto'; give one of pixel, none"),
        ("options", {"lambda_gan": "auto"}, r"lambda_gan is 'auto'; give a number"),
        ("options", {"gan_after": 1}, r"gan_after is 1; give a number"),
        ("options", {"backbone": "resnet18"}, r"but generator is 'resunet'; give one of the two"),
        ("data.target", {"extent": [[1, 0]]}, r"extent\[0\] is from 1 to 0; give the smaller one"),
        ("data.target", {"extent": [["nan", 0]]}, r"extent\[0\]\[0\] is 'nan'; give a finite"),
        (
            "data.target",
            {"extent": [[0, 1], [0, 1]]},
            "quantiles and classes that are not those of",
        ),
        ("data.target", {"median": []}, "quantiles and classes that are not those of 1 band"),
        ("data.target", {"median": ["inf"]}, r"median\[0\] is 'inf'; give a finite number"),
        ("data.target.scaling", {"levels": [0, 0.5, 1]}, "levels go from -1 or less to 1 or more"),
        ("data.target.scaling", {"bounded": 1}, "bounded is 1; give True or False"),
        ("", {"baselines": {"start": "x"}}, "baselines.start is 'x'"),
    ],
)
def test_entries_of_starts_and_scalings_are_checked(
    models: list[Path], part: str, entries: dict[str, Any], sentence: str
) -> None:
    _change(models[3], part, **entries)
    with pytest.raises(ModelFileError, match=sentence):
        load_model(models[3])
