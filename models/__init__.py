"""Model packages: weights to run (ONNX), weights to train on (safetensors), sidecar and card."""
