"""Measures of translations in the target's units, over valid pixels, summed batch by batch."""
