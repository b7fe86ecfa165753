"""Loaders of scaled, augmented tensors from chips on disk: fastai's data side."""

import warnings

with warnings.catch_warnings():
    # fastai calls what torch has deprecated; a user can do nothing about it.
    warnings.simplefilter("ignore", FutureWarning)
    import fastai.layers  # noqa: F401
