"""HDF5 on a disk that fills: the fault is told, the file closes, and nothing is reported from a destructor."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from datamodules.lasting import open_lasting

ROOT = Path(__file__).resolve().parents[2]

FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from datamodules.lasting import open_lasting
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
file, below = open_lasting(Path(sys.argv[1]), "w")
for number in range(10):
    file.create_dataset(str(number), data=np.full(100_000, number, np.float64), chunks=(1000,))
read = [float(file[str(number)][99_999]) for number in range(3)]
file.close()
below.close()
try:
    below.check()
except OSError as error:
    print(error.errno, read)
"""


def test_a_full_disk_is_told_and_the_process_ends_well(tmp_path):
    command = [sys.executable, "-c", FILL, str(tmp_path / "a.h5")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "27 [0.0, 1.0, 2.0]\n"


def test_what_is_written_is_there(tmp_path):
    values = np.arange(100_000, dtype=np.int64)
    file, below = open_lasting(tmp_path / "a.h5", "w")
    file.create_dataset("x", data=values, chunks=(1000,), compression="gzip")
    file.close()
    below.close()
    file, below = open_lasting(tmp_path / "a.h5", "r+")
    del file["x"]
    file["y"] = values[::-1]
    file.close()
    below.close()
    assert below.fault is None
    with h5py.File(tmp_path / "a.h5") as found:
        assert list(found) == ["y"]
        np.testing.assert_array_equal(found["y"][:], values[::-1])
