"""Run folder -> bundle: graphs, parity, packing. The only package that imports onnx."""
