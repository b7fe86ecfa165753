"""The keywords of arcgis.learn, and what to give here."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, ModelFileError, warn
from geotranslate.migration.esri_models import ENDINGS, esri_model
from geotranslate.migration.keyword import LEAVE_OUT, Keyword, Table


def band_numbers(value: Any) -> Any:
    """Return bands that ArcGIS counts from 0 as we count them, from 1; names stay."""
    if value is None:
        return LEAVE_OUT
    if isinstance(value, list | tuple):
        return [_from_one(one) for one in value]
    return _from_one(value)


def _from_one(band: Any) -> Any:
    return band + 1 if isinstance(band, Integral) and not isinstance(band, bool) else band


def _left_out_if_none(value: Any) -> Any:
    return LEAVE_OUT if value is None else value


def _auto_if_none(value: Any) -> Any:
    return "auto" if value is None else value


def _transforms(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    if any(not isinstance(one, list | tuple) or one for one in value):
        raise InvalidInputError(
            "transforms is a pair of lists of fastai v1, which cannot be used here; give None for "
            "flips and quarter turns, 'mirror', False for none, or a function of source and target."
        )
    return False


def _paired(value: Any) -> Any:
    """Return `paired` for a type of data set."""
    if value is None:
        return LEAVE_OUT
    kinds = {"Pix2Pix": True, "Export_Tiles": True, "CycleGAN": False}
    if not isinstance(value, str) or value not in kinds:
        raise InvalidInputError(
            f"dataset_type is {shown(value)}, which is not a type for translating images; give one "
            f"of {', '.join(kinds)}, or leave it out."
        )
    return kinds[value]


def _rate(value: Any) -> Any:
    """Return the upper rate of a slice, which is the rate of the last layers."""
    if value is None or (isinstance(value, slice) and value.stop is None):
        return LEAVE_OUT
    if not isinstance(value, slice):
        return value
    if value.start is not None:
        warn(
            f"lr is a slice, but all layers of a network learn at one rate here: {value.stop} is "
            "used; freeze() keeps the encoder as it is."
        )
    return value.stop


def _schedule(value: Any) -> Any:
    return ("one_cycle" if value else "constant") if isinstance(value, bool) else value


def _precision(value: Any) -> Any:
    return ("auto" if value else "float32") if isinstance(value, bool) else value


def _monitor(value: Any) -> Any:
    default = value is None or (isinstance(value, str) and value == "valid_loss")
    return LEAVE_OUT if default else value


def _backbone(value: Any) -> Any:
    """Return the name of an encoder, which may be given as a function of torchvision."""
    return value if value is None or isinstance(value, str) else getattr(value, "__name__", value)


def _direction(value: Any) -> Any:
    side = value.upper() if isinstance(value, str) else ""
    if side not in ("A", "B"):
        raise InvalidInputError(f"convert_to is {shown(value)}; give 'A' or 'B'.")
    return "BtoA" if side == "A" else "AtoB"


def model_folder(value: Any) -> Any:
    """Return the folder of a saved model for the path of the .emd or .dlpk that it would have.

    Raises:
        ModelFileError: The file was written by ArcGIS.
    """
    if value is None or not isinstance(value, str | os.PathLike):
        return value
    path = Path(value)
    if path.suffix.lower() not in ENDINGS:
        return value
    for folder in (path.parent, path.with_suffix("")):
        if os.path.isfile(folder / "card.json"):
            return folder
    raise ModelFileError(esri_model(path))


def _same(*names: str) -> tuple[Keyword, ...]:
    return tuple(Keyword(name, name) for name in names)


def _needless(name: str, advice: str) -> Keyword:
    return Keyword(name, advice=advice, otherwise="nothing")


_RGB = Keyword("rgb_bands", "rgb_bands", "give rgb_bands counted from 1 instead of 0", band_numbers)
_PRETRAINED = Keyword(
    "pretrained_path",
    "pretrained_path",
    "give the folder that save wrote; models that ArcGIS wrote are not read",
    model_folder,
)
_DATA = Keyword("data", "data")
_SPATIAL = "give the rasters to predict_raster, which keeps CRS and grid"

POSITIONS = {
    "prepare_data": (
        *("path", "class_mapping", "chip_size", "val_split_pct", "batch_size", "transforms"),
        *("collate_fn", "seed", "dataset_type", "resize_to", "working_dir"),
    ),
    "show_batch": ("rows",),
    "Pix2Pix": ("data", "pretrained_path", "backbone", "perceptual_loss"),
    "CycleGAN": ("data", "pretrained_path", "gen_blocks", "lsgan"),
    "Pix2PixHD": ("data", "pretrained_path"),
    "fit": (
        *("epochs", "lr", "one_cycle", "early_stopping", "checkpoint", "tensorboard", "monitor"),
        "mixed_precision",
    ),
    "lr_find": ("allow_plot", "mixed_precision"),
    "show_results": ("rows", "rgb_bands"),
    "compute_metrics": ("show_progress",),
    "predict": ("path", "convert_to"),
    "save": ("name_or_path", "framework", "publish", "gis", "compute_metrics", "save_optimizer"),
    "load": ("name_or_path", "strict"),
    "from_model": ("emd_path", "data"),
}
"""Arguments that arcgis.learn takes by position."""

ARCGIS: Table = {
    "prepare_data": (
        *_same("path", "val_split_pct", "seed", "resize_to", "num_workers"),
        *_same("valid_path", "test_path"),
        _needless("class_mapping", "leave it out; classes are found in the chips"),
        Keyword(
            "chip_size",
            "chip_size",
            "leave it out for whole chips; a smaller number crops them at random places",
            _left_out_if_none,
        ),
        Keyword(
            "batch_size",
            "batch_size",
            "give batch_size; the default is 4 instead of 64, and 'auto' stands for None",
            _auto_if_none,
        ),
        Keyword(
            "transforms",
            "transforms",
            "give None, 'mirror', False or a function of source and target; transforms of fastai "
            "v1 cannot be used",
            _transforms,
        ),
        Keyword("collate_fn", advice="leave it out; batches are stacked by fastai v2"),
        Keyword(
            "dataset_type",
            "paired",
            "leave it out, as the layout is recognized, or give paired=True or paired=False",
            _paired,
        ),
        Keyword(
            "working_dir",
            advice="give the folder of checkpoints to fit(folder=...) and of the model to save",
        ),
        _needless("imagery_type", "leave it out; bands and dtypes are read from the chips"),
        _needless("bands", "leave it out; the names of the bands are read from the chips"),
        Keyword(
            "extract_bands",
            "source_bands",
            "give source_bands, counted from 1 or by name",
            band_numbers,
        ),
        Keyword("rgb_bands", advice="give rgb_bands, counted from 1, to show_batch"),
        _needless("norm_pct", "leave it out; statistics are those of all training chips"),
        Keyword(
            "label_nc",
            "source_classes",
            "give source_classes=True, and direction='BtoA' for a folder with images/ and labels/",
            lambda value: True if value else LEAVE_OUT,
        ),
        Keyword(
            "downsample_factor",
            advice="bring the source to the target's grid and train a Pix2Pix on both",
            otherwise="error",
        ),
    ),
    "show_batch": (*_same("rows"), _RGB),
    "Pix2Pix": (
        _DATA,
        _PRETRAINED,
        Keyword(
            "backbone",
            "backbone",
            "give the name of an encoder; it starts with random weights unless weights='imagenet' "
            "or pretrained_path is given",
            _backbone,
        ),
        *_same("perceptual_loss"),
    ),
    "CycleGAN": (_DATA, _PRETRAINED, *_same("gen_blocks", "lsgan")),
    "Pix2PixHD": (
        _DATA,
        _PRETRAINED,
        Keyword("n_gen_filters", "ngf"),
        Keyword(
            "gen_network",
            "gen_network",
            "give gen_network='local' for both networks; the default is 'global'",
        ),
        *_same("n_downsample_global", "n_blocks_global", "n_local_enhancers", "n_blocks_local"),
        Keyword("norm", "norm", "give norm; the default is 'batch' instead of 'instance'"),
        *_same("lsgan"),
        Keyword("n_dscr_filters", "ndf"),
        Keyword("n_layers_dscr", "n_layers"),
        *_same("n_dscr", "feat_loss", "lambda_feat", "lambda_l1"),
        Keyword(
            "vgg_loss",
            advice="leave it out; an L1 loss (lambda_l1) replaces the loss of VGG features, which "
            "needs weights and three bands",
            harmless=(False, None),
        ),
    ),
    "fit": (
        *_same("epochs"),
        Keyword("lr", "lr", "give one rate, or one for each network, instead of a slice", _rate),
        Keyword(
            "one_cycle",
            "schedule",
            "give schedule='one_cycle' for True, schedule='constant' for False",
            _schedule,
        ),
        *_same("early_stopping", "checkpoint", "tensorboard"),
        Keyword(
            "monitor",
            "monitor",
            "give one of available_metrics; 'valid_loss' is the default, 'valid_l1'",
            _monitor,
        ),
        Keyword(
            "mixed_precision",
            "precision",
            "give precision='auto' for True, precision='float32' for False",
            _precision,
        ),
        Keyword("wd", "weight_decay"),
        Keyword(
            "pct_start",
            "warmup",
            "give warmup in epochs, the share times epochs",
        ),
        Keyword("callbacks", "callbacks", "give callbacks of fastai v2"),
    ),
    "lr_find": (
        Keyword(
            "allow_plot",
            advice="leave it out; the figure is always drawn",
            harmless=(True, False),
        ),
        _needless("mixed_precision", "leave it out; rates are tried in float32"),
        Keyword("start_lr", advice="leave it out; the rates go from 1e-7 to 10"),
        Keyword("end_lr", advice="leave it out; the rates go from 1e-7 to 10"),
    ),
    "show_results": (*_same("rows"), _RGB),
    "compute_metrics": (
        _needless("show_progress", "leave it out; the names of measures can be given instead"),
    ),
    "predict": (
        Keyword("path", "image"),
        Keyword("img_path", "image"),
        Keyword(
            "convert_to",
            "direction",
            "give direction='AtoB' for 'B', direction='BtoA' for 'A'",
            _direction,
        ),
    ),
    "save": (
        Keyword("name_or_path", "path", "give path, the folder of the model"),
        Keyword(
            "framework",
            advice="leave it out; models are saved as safetensors with a card",
            harmless=(None, "PyTorch", "pytorch", "PYTORCH"),
        ),
        Keyword(
            "publish",
            advice="upload the saved folder by arcgis.gis yourself",
            harmless=(None, False),
        ),
        Keyword("gis", advice="upload the saved folder by arcgis.gis yourself"),
        Keyword(
            "compute_metrics",
            advice="call compute_metrics before save; its result is saved with the model",
            harmless=(None, False),
        ),
        Keyword(
            "save_optimizer",
            advice="go on by fit(resume=True), as the checkpoints of fit hold the optimizer",
            harmless=(None, False),
        ),
        _needless("save_inference_file", "leave it out; predict_raster needs no such file"),
    ),
    "from_model": (Keyword("emd_path", "path", "", model_folder), _DATA),
    "load_model": (Keyword("emd_path", "path", "", model_folder), _DATA),
    "export_chips": (
        Keyword("in_raster", "source"),
        Keyword("in_raster2", "target"),
        Keyword("in_class_data", "target"),
        Keyword("out_folder", "folder"),
        Keyword("tile_size_x", "tile_size"),
        Keyword("tile_size_y", "tile_size"),
        Keyword("stride_x", "stride"),
        Keyword("stride_y", "stride"),
        Keyword("class_value_field", "burn"),
        Keyword("in_mask_polygons", "aoi"),
        Keyword("image_chip_format", "format", "give format: 'tiff', 'png' or 'jpeg'; not MRF"),
        Keyword(
            "metadata_format",
            "layout",
            "give layout='pairs' for Export_Tiles or layout='cyclegan' for CycleGAN",
        ),
        Keyword("blacken_around_feature", "blacken"),
        Keyword("buffer_radius", advice="widen points with buffer() of geopandas first"),
        Keyword("crop_mode", advice="leave it out; all chips have the size tile_size"),
        Keyword("output_nofeature_tiles", advice="leave it out; all tiles are written"),
        Keyword("reference_system", advice="leave it out; chips keep the source's grid and CRS"),
        Keyword("processing_mode", advice="give a list of scenes, or mosaic(...) of them"),
        Keyword("start_index", advice="give append=True to add to a folder"),
        Keyword("cell_size", "resolution", "give resolution, the pixels of both sides in meters"),
        Keyword("extent", "aoi"),
    ),
    "predict_raster": (
        Keyword("in_raster", "path"),
        Keyword("out_classified_raster", "output"),
        Keyword("out_raster", "output"),
        Keyword(
            "in_model_definition", advice="load the model by load_model and call its predict_raster"
        ),
        Keyword("arguments", advice="give padding, batch_size and tile_size as arguments"),
        Keyword(
            "cell_size",
            "resolution",
            "give resolution, at which tiles are translated; the output lies on the scene's grid",
        ),
        Keyword("extent", "bbox"),
        Keyword("mask", "aoi"),
        Keyword("processing_mode", advice="give a list or folder of scenes, or mosaic(...)"),
        Keyword("merge_policy", "blend"),
        Keyword("test_time_augmentation", "tta"),
        Keyword("predict_background", advice=_SPATIAL),
    ),
}
"""Keywords of arcgis.learn and of ArcGIS Pro's tools by the function that replaces theirs."""

ATTRIBUTES = {
    "data.chip_size": "data.card.chip_size",
    "data.batch_size": "data.bs",
    "data.train_dl": "data.train",
    "data.valid_dl": "data.valid",
    "data.norm_stats": "data.card.source.scaling, data.card.target.scaling",
    "model.supported_backbones": "Pix2Pix.supported_backbones()",
    "model.supported_datasets": "the layouts in the guide",
    'model.load("name")': "load_model(path, data)",
    'metrics["PSNR"], metrics["SSIM"]': 'metrics["psnr"], metrics["ssim"]',
    'metrics["FID"], metrics["FID_B"]': 'model.compute_metrics(["fid"])["fid"]',
    'metrics["FID_A"]': 'model.compute_metrics(["fid"], direction="BtoA")["fid"]',
}
"""Attributes of data, models and metrics, and what replaces them."""

FUNCTIONS = {
    "export_training_data": "give the rasters to geotranslate.export_chips",
    "classify_pixels": _SPATIAL,
    "detect_objects": "use another library; geotranslate translates rasters",
    "SuperResolution": "bring the source to the target's grid and train a Pix2Pix on both",
    "WNet_cGAN": "stack the bands of both sources into one raster and train a Pix2Pix on it",
    "ImageCaptioner": "use another library; geotranslate translates rasters",
}
"""Functions and classes of arcgis.learn that geotranslate.arcgis lacks, and what to do instead."""
