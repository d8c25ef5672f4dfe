"""Export a run's file: as the packed folder, ONNX or OpenVINO."""
