"""Step 5, deploy: export to ONNX with a proof of parity, and serve over HTTP."""
