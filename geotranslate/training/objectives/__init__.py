"""The losses of generators and discriminators over one batch."""
