"""The one door to ONNX Runtime: providers, sessions, our generator and the simple ones."""
