"""ONNX: graphs of models with their scalings, and predictors that run them without torch."""
