"""fastai callbacks that train, measure, log and save."""
