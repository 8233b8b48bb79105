from benchmarks.loader_jobs import all_jobs, needed_jobs


def named(jobs):
    return {(job.name, job.kind, job.state) for job in jobs}


def test_a_brief_run_keeps_what_the_targets_are_about():
    brief = named(needed_jobs(all_jobs({}, quick=True)))
    assert {("ours", kind, "warm") for kind in ("raw h5ad", "gzip h5ad", "zarr", "packed")} <= brief
    assert {("ours", "packed", "cold"), ("scDataset", "gzip h5ad", "warm"), ("AnnLoader", "raw h5ad", "warm")} <= brief
    assert ("AnnLoader", "raw h5ad", "cold") not in brief
    assert brief < named(all_jobs({}, quick=False))
