"""Chip folders on disk: export, recognise, check, measure and split (never torch)."""
