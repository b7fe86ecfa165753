"""Saved models: the card, the model folder, and weights of other models."""
