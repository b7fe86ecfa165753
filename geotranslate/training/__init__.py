"""Typed tensors, losses, metrics and callbacks: the only room that knows fastai's training."""
