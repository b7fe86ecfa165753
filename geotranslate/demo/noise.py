"""Random fields with the texture of nature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fractal_noise(
    rng: np.random.Generator, size: int, *, roughness: float, coarsest: float
) -> NDArray[np.float32]:
    """Draw a square random field whose features span many scales.

    Args:
        rng: source of randomness.
        size: rows and columns of the field.
        roughness: exponent of the spectrum's decay; 0 is white noise, 2 is rolling hills.
        coarsest: wavelength in pixels of the largest features; nothing larger is drawn, so that
            far corners of a big field look alike.

    Returns:
        (size, size) field of mean 0 and standard deviation 1.
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    lowest = max(1.0 / coarsest, 1.0 / size)
    gain = np.maximum(frequency, lowest) ** -roughness * (frequency > 0.6 * lowest)
    field = np.fft.irfft2(spectrum * gain.astype(np.float32), s=(size, size))
    return (field / field.std()).astype(np.float32)
