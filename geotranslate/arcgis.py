"""Adapter for scripts that were written for arcgis.learn: its keywords, positions and names.

`from geotranslate.arcgis import prepare_data, Pix2Pix` takes the place of the import from
arcgis.learn. All keywords of geotranslate work too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from matplotlib import pyplot
from numpy.typing import NDArray

from geotranslate import data as library
from geotranslate import translators
from geotranslate.checks import flag, folder_path, number, shown, whole_number
from geotranslate.chips.bands import Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.data.loaders import PairLoaders, validates_pairs
from geotranslate.errors import (
    InvalidInputError,
    MissingPackageError,
    ModelFileError,
)
from geotranslate.files import create_folder
from geotranslate.metrics import Metrics
from geotranslate.migration import ARCGIS, POSITIONS, bound, signature_of, translated
from geotranslate.migration.arcgis_learn import FUNCTIONS, model_folder
from geotranslate.translators import Translator
from geotranslate.translators.saved_models.modelfolder import load_weights, read_model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CycleGAN", "Pix2Pix", "Pix2PixHD", "prepare_data"]

MODELS = "models"
"""Folder of saved models, in the working directory of the data."""


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        # An AttributeError would lose its sentence in `from geotranslate.arcgis import ...`.
        raise MissingPackageError(f"geotranslate.arcgis has no {name}; {FUNCTIONS[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _given(place: str, args: Sequence[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with our names and values."""
    return translated(ARCGIS[place], bound(place, POSITIONS[place], args, keywords))


class ArcgisData(PairLoaders):
    """Loaders with the attributes that arcgis.learn's data has."""

    home: Path
    """Folder in which models are saved by name."""
    rgb_bands: Any
    """Bands that are drawn by default, as arcgis.learn counts them."""

    @classmethod
    def like(cls, data: PairLoaders, home: Path, rgb_bands: Any) -> ArcgisData:
        """Return the same loaders with these attributes."""
        made = cls(*data.loaders, path=data.path, device=data.device)
        made.__dict__.update(data.__dict__)
        made.home, made.rgb_bands = home, rgb_bands
        return made

    @property
    def chip_size(self) -> int:
        """Side of the tensors, px."""
        return self.card.chip_size

    @property
    def batch_size(self) -> int:
        """Pairs per batch."""
        return int(self.train.bs)

    @property
    def train_dl(self) -> Any:
        """Loader of training pairs."""
        return self.train

    @property
    def valid_dl(self) -> Any:
        """Loader of validation pairs."""
        return self.valid

    @property
    def norm_stats(self) -> tuple[Scaling, Scaling]:
        """Scalings of source and target."""
        return self.card.source.scaling, self.card.target.scaling

    def show_batch(self, *args: Any, **keywords: Any) -> None:
        """Draw training pairs, source and target side by side."""
        given = bound("show_batch", POSITIONS["show_batch"], args, keywords)
        given.setdefault("rgb_bands", self.rgb_bands)
        given["rgb_bands"] = numbered(given["rgb_bands"], self.card.source)
        super().show_batch(**translated(ARCGIS["show_batch"], given))


def numbered(bands: Any, side: Side) -> Any:
    """Return bands with the numbers of named ones, counted from 0.

    Raises:
        InvalidInputError: The side has no band of that name.
    """
    if not isinstance(bands, list | tuple):
        return bands
    names = [name.lower() for name in side.band_names]
    for band in bands:
        if isinstance(band, str) and band.lower() not in names:
            raise InvalidInputError(
                f"rgb_bands has {shown(band)}, but the bands are named "
                f"{', '.join(filter(None, side.band_names)) or 'not at all'}; give numbers from 0."
            )
    return [names.index(band.lower()) if isinstance(band, str) else band for band in bands]


def prepare_data(*args: Any, **keywords: Any) -> ArcgisData:
    """Create loaders as `geotranslate.prepare_data` does, from the arguments of arcgis.learn.

    A folder with `images/` and `labels/` is translated from labels to images, as in arcgis.learn.

    Raises:
        GeotranslateError: As `geotranslate.prepare_data`, or an argument has no meaning here.
    """
    given = bound("prepare_data", POSITIONS["prepare_data"], args, keywords)
    working_dir, rgb_bands = given.pop("working_dir", None), given.pop("rgb_bands", None)
    home = None if working_dir is None else folder_path("working_dir", working_dir)
    ours = translated(ARCGIS["prepare_data"], given)
    if _has_labels(ours.get("path")):
        ours.setdefault("direction", "BtoA")
    data = library.prepare_data(**ours)
    return ArcgisData.like(data, home or Path(data.path), rgb_bands)


def _has_labels(path: Any) -> bool:
    first = path[0] if isinstance(path, list | tuple) and path else path
    if not isinstance(first, str | os.PathLike):
        return False
    # Unlike those of pathlib, these functions take names that are too long.
    labels, others = (os.path.join(os.fspath(first), name) for name in ("labels", "images2"))
    return os.path.isdir(labels) and not os.path.isdir(others)


class ArcgisMetrics(Metrics):
    """Metrics that are found by arcgis.learn's names too."""

    def __init__(self, found: Metrics, fid: Callable[[str], float]) -> None:
        super().__init__(found.overall, found.per_band, found.per_class, found.confusion)
        object.__setattr__(self, "_fid", fid)

    def __getitem__(self, name: str) -> float:
        if name in ("FID", "FID_A", "FID_B"):
            return cast(float, vars(self)["_fid"](name))
        return super().__getitem__(name.lower() if name in ("PSNR", "SSIM") else name)


class ArcgisModel(Translator):
    """Methods with the arguments of arcgis.learn; base of the translators here."""

    home: Path | None = None
    """Folder in which models are saved by name."""
    supported_datasets: Sequence[str] = ("Pix2Pix", "Export_Tiles")
    """Types of data sets that the model can be trained on."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(**_given(type(self).__name__, args, keywords))
        self._of(self.data)

    def _of(self, data: Any) -> None:
        """Take over what the data says of folders and of drawn bands."""
        self.home = getattr(data, "home", None)
        self.rgb_bands = getattr(data, "rgb_bands", None)

    def fit(self, *args: Any, **keywords: Any) -> Self:  # type: ignore[override]
        """Train, as `Translator.fit` does."""
        given = bound("fit", POSITIONS["fit"], args, keywords)
        share, epochs = given.get("pct_start"), given.get("epochs", 10)
        if share is not None:
            epochs = whole_number("epochs", epochs, 1)
            # The share of the training in which the rate rises, as in fastai's `fit_one_cycle`.
            given["pct_start"] = number("pct_start", share, above=0, below=1) * epochs
        return super().fit(**translated(ARCGIS["fit"], given))

    def lr_find(self, *args: Any, **keywords: Any) -> float:
        """Find a learning rate, as `Translator.lr_find` does, without a plot if asked."""
        given = bound("lr_find", POSITIONS["lr_find"], args, keywords)
        shown = flag("allow_plot", given.get("allow_plot", True))
        rate = super().lr_find(**translated(ARCGIS["lr_find"], given))
        if not shown:
            pyplot.close()
        return rate

    def show_results(self, *args: Any, **keywords: Any) -> Any:
        """Draw validation pairs, as `Translator.show_results` does."""
        given = bound("show_results", POSITIONS["show_results"], args, keywords)
        given.setdefault("rgb_bands", self.rgb_bands)
        given["rgb_bands"] = numbered(given["rgb_bands"], self.card.source)
        return super().show_results(**translated(ARCGIS["show_results"], given))

    def compute_metrics(self, *args: Any, **keywords: Any) -> ArcgisMetrics:  # type: ignore[override]
        """Measure validation pairs, as `Translator.compute_metrics` does.

        The result has `PSNR`, `SSIM`, and `FID`, `FID_A` and `FID_B`, which are computed when they
        are asked for.
        """
        if args and not isinstance(args[0], bool):
            keywords["metrics"], args = args[0], args[1:]
        found = super().compute_metrics(**_given("compute_metrics", args, keywords))
        return ArcgisMetrics(found, self._fid)

    def _fid(self, name: str) -> float:
        direction: Any = "BtoA" if name == "FID_A" else "AtoB"
        return super().compute_metrics(["fid"], direction=direction)["fid"]

    def predict(self, *args: Any, **keywords: Any) -> NDArray[Any]:  # type: ignore[override]
        """Translate an image and draw both, unless `show=False`; return the translation."""
        return super().predict(**{"show": True, **_given("predict", args, keywords)})

    def save(self, *args: Any, **keywords: Any) -> Path:
        """Save the model in a folder, by its path or, in `models/` of the data, by its name."""
        given = bound("save", POSITIONS["save"], args, keywords)
        if given.get("compute_metrics") is True:
            given["compute_metrics"] = False
            if self.data is not None and validates_pairs(self.data):
                self.compute_metrics()
        ours = translated(ARCGIS["save"], given)
        if "path" in ours:
            ours["path"] = self._named(ours["path"], make=True)
        return super().save(**ours)

    def load(self, name_or_path: str | os.PathLike[str], strict: bool = True) -> None:
        """Load the weights and the history of a saved model of the same arguments and scalings.

        Raises:
            ModelFileError: The model is missing, or has other arguments, bands or scalings.
        """
        flag("strict", strict)
        path = self._named(model_folder(name_or_path))
        card, weights = read_model(path)
        sides = [(one.source.scaling, one.target.scaling) for one in (card.data, self.card)]
        if sides[0] != sides[1]:
            raise ModelFileError(
                f"{path} has other scalings than the data of this model; load it by "
                f"{self.name}.from_model(path, data), which keeps them."
            )
        self._average(0.0 if any(name.startswith("average.") for name in weights) else None)
        load_weights(self.pair, weights, path)
        self._place()
        self._renew()
        self.history[:], self.metrics = card.history, card.metrics
        self.baselines, self.fits_start = dict(card.baselines), False

    def _named(self, path: Any, *, make: bool = False) -> Any:
        """Return the folder of a model that is given by its name alone."""
        if not isinstance(path, str) or self.home is None or Path(path).name != path:
            return path
        folder = self.home / MODELS
        if make:
            create_folder(folder, "for models, in the data's folder or working_dir,")
        return folder / path

    @classmethod
    def from_model(cls, *args: Any, **keywords: Any) -> Self:
        """Load a saved model, as `Translator.from_model` does."""
        given = _given("from_model", args, keywords)
        model = super().from_model(**given)
        model._of(given.get("data"))
        return model


class Pix2Pix(ArcgisModel, translators.Pix2Pix):
    """`geotranslate.Pix2Pix` with the arguments of arcgis.learn."""

    @property
    def supported_backbones(self) -> list[str]:  # type: ignore[override]
        """Names that `backbone` takes."""
        return translators.Pix2Pix.supported_backbones()


class CycleGAN(ArcgisModel, translators.CycleGAN):
    """`geotranslate.CycleGAN` with the arguments of arcgis.learn."""

    supported_datasets = ("CycleGAN", "Pix2Pix", "Export_Tiles")


class Pix2PixHD(ArcgisModel, translators.Pix2PixHD):
    """`geotranslate.Pix2PixHD` with the arguments of arcgis.learn."""


def _show_signatures() -> None:
    """Give editors and `help` the arguments that the functions have in arcgis.learn."""
    places: list[tuple[Any, str, Sequence[str]]] = [
        (prepare_data, "prepare_data", ()),
        (ArcgisData.show_batch, "show_batch", ("self",)),
        *(
            (vars(ArcgisModel)[name], name, ("self",))
            for name in ("fit", "lr_find", "show_results", "compute_metrics", "predict", "save")
        ),
        *((kind, kind.__name__, ()) for kind in (Pix2Pix, CycleGAN, Pix2PixHD)),
    ]
    for function, place, own in places:
        function.__signature__ = signature_of(ARCGIS[place], POSITIONS[place], own)


_show_signatures()
