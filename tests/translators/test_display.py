"""A model says what it is, in a console and in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from geotranslate import Pix2Pix, prepare_data


def test_model_shows_bands_networks_and_last_epoch(write_chips: Callable[..., Path]) -> None:
    folder = write_chips(count=5, source=(4, "uint16"), target=(1, "uint8"))
    model = Pix2Pix(prepare_data(folder), recipe="seamless", ngf=4, ndf=4)
    assert repr(model).endswith("epochs         0")
    assert "an average" not in repr(model)
    model.fit(2, ema=0.9, checkpoint=False, progress=False)
    weights = sum(weight.numel() for weight in model.pair.generator.parameters())
    last = f"valid_l1 {model.history[-1]['valid_l1']:.4g}"
    shown = ("Pix2Pix", "4 bands", "uint16", "1 band", "64 x 64 px", f"{weights:,}", last)
    for words in (*shown, "an average"):
        assert words in repr(model), words
        assert words in model._repr_html_().replace("&#x27;", "'"), words


def test_model_without_a_discriminator_says_so(write_chips: Callable[..., Path]) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3)), recipe="seamless", ngf=4, lambda_gan=0)
    assert "discriminator  none" in repr(model)
