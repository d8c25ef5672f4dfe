"""A run's file to take away: the packed folder itself, ONNX, OpenVINO."""
