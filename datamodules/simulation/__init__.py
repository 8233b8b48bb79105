"""The staged cohort that `datamodules.simulate` writes: design, tissue, droplets, counts and truth."""
