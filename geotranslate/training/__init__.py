"""Training of a translator's networks with a fastai learner."""

# Imported first, because it silences the warnings of fastai's own imports.
import geotranslate.data  # noqa: F401
