"""The words that all rooms share: genes, labels, stages, batches, predictions and errors."""
