"""Batches of cells to logits, and all that is trained, calibrated and saved on the way."""
