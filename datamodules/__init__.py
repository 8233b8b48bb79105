"""Files on disk to batches of cells; the only home of anndata, h5py and zarr."""
