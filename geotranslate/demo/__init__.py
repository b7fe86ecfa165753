"""The whole way of the data on an invented town, without any download."""
