"""Configurations of translators: their arguments, checked, as a card holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

from geotranslate.networks.layers import Padding, Upsample
from geotranslate.networks.normalization import Norm
from geotranslate.schema import Check, Fields, Later, one_of, real, record, whole
from geotranslate.training.callbacks import DECAY, Schedule
from geotranslate.training.learner import BETAS, LEARNING_RATE

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_LAYERS = 5
MAX_FILTERS = 1024
MAX_BLOCKS = 64

weight = real(least=0)
share = real(least=0, below=1)


def option(check: Check, *, before: Any = MISSING) -> Any:
    """Return the dataclass field of an option.

    Args:
        check: The check of its values.
        before: Value that it has in cards of earlier versions, which lack it.
    """
    return field(metadata={"check": check if before is MISSING else Later(check, before)})


class LayerOptions(TypedDict):
    """Options that all generators take."""

    ngf: int
    norm: Norm
    upsample: Upsample
    padding: Padding
    dropout: float


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig:
    """Arguments that rebuild a translator, of which all translators have these.

    See the translators for what they mean.

    Raises:
        InvalidInputError: A value is impossible; the sentence names it.
    """

    ngf: int = option(whole(1, MAX_FILTERS))
    ndf: int = option(whole(1, MAX_FILTERS))
    n_layers: int = option(whole(0, MAX_LAYERS))
    norm: Norm = option(one_of(Norm))
    upsample: Upsample = option(one_of(Upsample))
    padding: Padding = option(one_of(Padding))
    dropout: float = option(share)
    label_smoothing: float = option(share)

    def __post_init__(self) -> None:
        for name, check in self.checks().items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @classmethod
    def checks(cls) -> Fields:
        """Return the check of each option by name."""
        return {each.name: each.metadata["check"] for each in fields(cls)}

    @classmethod
    def from_card(cls, options: Mapping[str, Any]) -> Self:
        """Return the configuration that a card holds.

        Raises:
            InvalidInputError: An option is missing, unknown or impossible.
        """
        return cls(**record(cls.checks())("options", options))

    @property
    def layers(self) -> LayerOptions:
        """The options that all generators take."""
        return {
            "ngf": self.ngf,
            "norm": self.norm,
            "upsample": self.upsample,
            "padding": self.padding,
            "dropout": self.dropout,
        }

    @property
    def discriminator_norm(self) -> Norm:
        """Normalization of discriminators, which see no tiles: nothing there has to avoid seams."""
        return "batch" if self.norm in ("renorm", "channel") else self.norm


@dataclass(frozen=True)
class FitDefaults:
    """Defaults of the arguments of `fit`, and the betas of Adam."""

    lr: float = LEARNING_RATE
    betas: tuple[float, float] = BETAS
    schedule: Schedule = "constant"
    ema: float = DECAY
    monitor: str = "valid_l1"
