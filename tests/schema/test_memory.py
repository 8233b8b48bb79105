"""Memory that may still be taken: the least that machine, control groups and limits leave."""

import pytest

from schema import memory
from schema.errors import InsufficientMemoryError
from schema.memory import available_bytes, check_memory

MIB = 2**20


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that writes files of a made-up machine with 8 GiB available and no limits."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr("resource.getrlimit", lambda _: (-1, -1))

    def write(**files):
        for name, text in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8388608 kB\n", **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


def test_a_machine_without_limits_has_what_it_says(machine):
    machine()
    assert available_bytes() == 8 * 1024 * MIB


def test_the_tightest_group_around_the_process_counts(machine):
    machine(
        **{
            "proc/self/cgroup": "0::/outer/inner\n",
            "cgroup/outer/inner/memory.max": "max\n",
            "cgroup/outer/inner/memory.current": "5\n",
            "cgroup/outer/memory.max": f"{1000 * MIB}\n",
            "cgroup/outer/memory.current": f"{900 * MIB}\n",
            "cgroup/outer/memory.stat": f"anon 7\ninactive_file {50 * MIB}\n",
        }
    )
    assert available_bytes() == 150 * MIB


def test_groups_of_the_first_version_count_too(machine):
    machine(
        **{
            "proc/self/cgroup": "3:cpu:/x\n2:memory:/job\n",
            "cgroup/memory/job/memory.limit_in_bytes": f"{300 * MIB}\n",
            "cgroup/memory/job/memory.usage_in_bytes": f"{100 * MIB}\n",
            "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "cgroup/memory/memory.usage_in_bytes": f"{100 * MIB}\n",
        }
    )
    assert available_bytes() == 200 * MIB


def test_limits_of_the_process_count(machine, monkeypatch):
    machine(**{"proc/self/statm": "1000 10 1 1 0 300 0\n"})
    monkeypatch.setattr("resource.getpagesize", lambda: 4096)
    monkeypatch.setattr("resource.getrlimit", lambda _: (4096 * 1500, -1))
    assert available_bytes() == 4096 * 500


@pytest.mark.usefixtures("machine")
def test_a_machine_that_says_nothing_refuses_nothing():
    assert available_bytes() is None
    check_memory(2**60, where="x", fix="y")


def test_what_would_be_killed_is_refused(machine):
    machine()
    check_memory(8192 * MIB, where="x.h5ad", fix="Lower it.")
    with pytest.raises(InsufficientMemoryError, match=r"got 8,192 MiB free where about 8,193 MiB .* in x.h5ad. Lower"):
        check_memory(8193 * MIB, where="x.h5ad", fix="Lower it.")
