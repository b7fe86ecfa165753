"""A script for arcgis.learn, with its import line changed: every statement passes or ends in one
sentence that names the replacement."""

from __future__ import annotations

import inspect
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from matplotlib import pyplot

from geotranslate import arcgis
from geotranslate.errors import GeotranslateError, GeotranslateWarning, ModelFileError
from geotranslate.migration import POSITIONS
from geotranslate.translators import Translator
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.wrong_values import assert_one_sentence

WriteChips = Callable[..., Path]

SCRIPT: list[tuple[int, str, str]] = [
    (1, "from geotranslate.arcgis import prepare_data, Pix2Pix, CycleGAN, Pix2PixHD", ""),
    (12, "data = prepare_data(r'chips', batch_size=None)", ""),
    (17, "prepare_data('chips', transforms=([], []))", ""),
    (17, "prepare_data('chips', transforms=([1], [2]))", "give None for flips and quarter turns"),
    (18, "prepare_data('chips', dataset_type='Pix2Pix')", ""),
    (19, "prepare_data('chips', dataset_type='Export_Tiles')", ""),
    (19, "prepare_data('chips', dataset_type='RCNN_Masks')", "give one of Pix2Pix, Export_Tiles"),
    (20, "prepare_data('chips', None, 64, 0.2, 2)", ""),
    (21, "prepare_data('chips', class_mapping={1: 'house'})", ""),
    (22, "data = prepare_data('chips', batch_size=2, working_dir='work')", ""),
    (23, "prepare_data('chips', imagery_type='ms')", ""),
    (24, "prepare_data('chips', bands=['r', 'g', 'b'], rgb_bands=[0, 1, 2])", ""),
    (25, "assert prepare_data('chips', extract_bands=[0, 2]).card.source.indexes == (1, 3)", ""),
    (26, "prepare_data('chips', norm_pct=0.3, num_workers=0, resize_to=None, seed=42)", ""),
    (26, "prepare_data('chips', transforms='mirror', valid_path=None, test_path=None)", ""),
    (27, "prepare_data('chips', downsample_factor=4)", "train a Pix2Pix on both"),
    (28, "prepare_data('chips', collate_fn=len)", "batches are stacked by fastai v2"),
    (31, "data.show_batch(rows=1)", ""),
    (32, "data.show_batch(1, rgb_bands=[0, 1, 2])", ""),
    (33, "data.show_batch(rgb_bands=['nir', 'r', 'g'])", "give numbers from 0"),
    (34, "assert data.chip_size == 64 and data.batch_size == 2", ""),
    (38, "assert len(data.train_dl) and len(data.valid_dl)", ""),
    (39, "data.norm_stats", ""),
    (42, "Pix2Pix(data, None, None, False, ngf=4, ndf=4)", ""),
    (43, "model = Pix2Pix(data=data, ngf=4, ndf=4)", ""),
    (45, "Pix2Pix(data, pretrained_path='old/old.emd')", "train one on the same chips"),
    (46, "assert 'resnet34' in model.supported_backbones", ""),
    (47, "assert 'Export_Tiles' in model.supported_datasets", ""),
    (50, "lr = model.lr_find(allow_plot=False)", ""),
    (55, "model.fit(1, lr=slice(lr), checkpoint=False)", ""),
    (55, "model.fit(1, lr=slice(lr / 10, lr), checkpoint=False)", "all layers of a network learn"),
    (56, "model.fit(1, 2e-4, True, False, False, False, 'valid_loss', False)", ""),
    (57, "model.fit(epochs=1, one_cycle=False, early_stopping=True, checkpoint=False)", ""),
    (60, "model.fit(1, monitor='valid_loss', checkpoint=False)", ""),
    (62, "model.fit(1, mixed_precision=True, checkpoint=False)", ""),
    (64, "model.fit(1, wd=1e-2, checkpoint=False)", ""),
    (65, "model.fit(2, one_cycle=True, pct_start=0.3, checkpoint=False)", ""),
    (67, "model.plot_losses()", ""),
    (68, "assert 'valid_l1' in model.available_metrics", ""),
    (69, "model.show_results(1)", ""),
    (70, "model.show_results(rows=1, rgb_bands=[2, 1, 0])", ""),
    (72, "metrics = model.compute_metrics(show_progress=False)", ""),
    (73, "metrics['PSNR']", ""),
    (74, "metrics['SSIM']", ""),
    (75, "metrics['FID']", "weights|pip install|pairs"),
    (76, "model.save('mine', framework='PyTorch', publish=False, gis=None)", ""),
    (76, "model.save('mine', framework='onnx')", "saved as safetensors with a card"),
    (77, "model.save('mine', publish=True)", "upload the saved folder"),
    (78, "model.save('mine', save_optimizer=True)", r"go on by fit\(resume=True\)"),
    (78, "model.save('mine', compute_metrics=True, save_inference_file=True)", ""),
    (79, "model.load('mine')", ""),
    (80, "model.unfreeze()", ""),
    (81, "model.predict(path='scene.tif')", ""),
    (82, "Pix2Pix.from_model('old/old.emd')", "Pix2Pix, chips of 256 px, the backbone resnet34"),
    (83, "Pix2Pix.from_model('old/old.dlpk', data)", r"Pix2Pix\(data, backbone='resnet34'\)"),
    (84, "model = Pix2Pix.from_model(emd_path='work/models/mine/mine.emd')", ""),
    (85, "model = Pix2Pix.from_model(r'work/models/mine/mine.emd', data)", ""),
    (87, "model.show_results(rows=1)", ""),
    (88, "model.compute_metrics()['PSNR']", ""),
    (89, "model.fit(1, checkpoint=False)", ""),
    (90, "model.predict_raster('scene.tif', progress=False)", ""),
    (91, "both = prepare_data('chips', dataset_type='CycleGAN', batch_size=2)", ""),
    (95, "model = CycleGAN(both, None, 1, True, ngf=4, ndf=4)", ""),
    (96, "model.fit(1, checkpoint=False)", ""),
    (97, "model.show_results(rows=1)", ""),
    (99, "model.compute_metrics()['FID_A']", "weights|pip install|pairs"),
    (100, "model.predict(img_path='scene.tif', convert_to='B')", ""),
    (101, "model.predict('scene.tif', 'A')", ""),
    (103, "prepare_data('chips', label_nc=False)", ""),
    (105, "small = {'ndf': 4, 'n_downsample_global': 1, 'n_blocks_global': 1, 'n_dscr': 1}", ""),
    (106, "model = Pix2PixHD(data, n_gen_filters=4, n_dscr_filters=4, n_dscr=1)", ""),
    (107, "model = Pix2PixHD(data, n_gen_filters=4, n_layers_dscr=2, vgg_loss=False, **small)", ""),
    (108, "model = Pix2PixHD(data, n_gen_filters=4, vgg_loss=True, **small)", "an L1 loss"),
    (111, "from geotranslate.arcgis import export_training_data", "geotranslate.export_chips"),
    (112, "from geotranslate.arcgis import classify_pixels", "predict_raster"),
    (113, "from geotranslate.arcgis import SuperResolution", "train a Pix2Pix on both"),
    (114, "from geotranslate.arcgis import WNet_cGAN", "stack the bands of both sources"),
]


@pytest.fixture
def home(
    write_chips: WriteChips, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a folder with chips, a scene, and the definition of a model that ArcGIS wrote."""
    folder = write_chips(count=5, target=(3, "uint8")).parent
    write_raster("scene.tif", values((3, 70, 64), "uint8"))
    (folder / "old").mkdir()
    emd = {"ModelName": "Pix2Pix", "ImageHeight": 256, "backbone": "resnet34"}
    (folder / "old/old.emd").write_text(json.dumps(emd))
    with zipfile.ZipFile(folder / "old/old.dlpk", "w") as package:
        package.write(folder / "old/old.emd", "old.emd")
    monkeypatch.setattr(Translator, "lr_find", lambda model: 1e-3)
    return folder


def test_every_line_passes_or_names_the_replacement(home: Path) -> None:
    names: dict[str, Any] = {}
    for line, statement, expected in SCRIPT:
        sentences = run(statement, names)
        pyplot.close("all")
        if expected:
            assert len(sentences) == 1, (line, statement, sentences)
            assert re.search(expected, sentences[0]), (line, statement, sentences)
        assert expected or not sentences, (line, statement, sentences)


def run(statement: str, names: dict[str, Any]) -> list[str]:
    """Run a statement and return our sentences, of warnings and of an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(statement, names)
            found = []
        except GeotranslateError as error:
            found = [str(error)]
    said = [str(one.message) for one in caught if issubclass(one.category, GeotranslateWarning)]
    for sentence in (*said, *found):
        assert_one_sentence(sentence)
    return said + found


def test_editors_see_the_arguments_of_arcgis() -> None:
    for function in (arcgis.prepare_data, arcgis.Pix2Pix, arcgis.Pix2Pix.fit):
        expected = POSITIONS[function.__name__]
        shown = [each for each in inspect.signature(function).parameters if each != "self"]
        assert tuple(shown[: len(expected)]) == expected


def test_labels_are_translated_to_images(write_raster: WriteRaster, tmp_path: Path) -> None:
    for number in range(4):
        for side, bands in (("images", 3), ("labels", 1)):
            chip = values((bands, 64, 64), "uint8", seed=number) // (100 if bands == 1 else 1)
            place = NORTH_UP @ Affine.translation(64 * number, 0)
            write_raster(f"maps/{side}/{number}.tif", chip, transform=place)
    data = arcgis.prepare_data("maps", label_nc=True)
    assert (data.card.source.bands, data.card.target.bands) == (1, 3)
    assert data.card.source.classes is not None


def test_only_models_of_the_same_scalings_are_loaded(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    folder = write_chips(count=4)
    small: dict[str, Any] = {"recipe": "seamless", "ngf": 4, "ndf": 4}
    model = arcgis.Pix2Pix(arcgis.prepare_data(folder), **small)
    path = model.save(tmp_path / "mine")
    assert path == tmp_path / "mine"
    other = arcgis.prepare_data(folder, target_scaling="minmax")
    with pytest.raises(ModelFileError, match=r"Pix2Pix.from_model\(path, data\), which keeps"):
        arcgis.Pix2Pix(other, **small).load(path)
    with pytest.raises(ModelFileError, match=r"models.missing is not a model of geotranslate"):
        model.load("missing")
    again = arcgis.Pix2Pix(arcgis.prepare_data(folder, seed=5), **small)
    assert again.digest() != model.digest()
    again.load(path)
    assert again.digest() == model.digest()


def test_unknown_names_are_no_attributes() -> None:
    assert not hasattr(arcgis, "NoSuchModel")
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from geotranslate.arcgis import NoSuchModel")
