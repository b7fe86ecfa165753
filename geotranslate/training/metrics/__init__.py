"""How good translations are: in the target's units, over valid pixels, summed batch by batch."""
