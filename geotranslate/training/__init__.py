"""Typed tensors, losses, metrics and callbacks: the only room that knows fastai's training."""

import warnings

with warnings.catch_warnings():
    # fastai calls what torch has deprecated; a user can do nothing about it.
    warnings.simplefilter("ignore", FutureWarning)
    import fastai.layers  # noqa: F401
