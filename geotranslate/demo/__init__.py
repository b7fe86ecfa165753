"""A complete example on an invented town, without any download."""
