"""Predictors are tested with the small models of the translators."""

from tests.translators.conftest import fresh_model, no_network, write_maps

__all__ = ["fresh_model", "no_network", "write_maps"]
