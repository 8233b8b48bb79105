"""Run a command and write what it used as JSON; a small parent, because a process's peak starts at its parent's."""

import json
import os
import sys
import time

start = time.perf_counter()
process = os.spawnvp(os.P_NOWAIT, sys.argv[2], sys.argv[2:])  # noqa: S606 - the command of the one who calls
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
with open(sys.argv[1], "w", encoding="utf-8") as result:  # noqa: PTH123 - pathlib would make this process larger
    json.dump({"exit": os.waitstatus_to_exitcode(status), "seconds": seconds, "maxrss": usage.ru_maxrss}, result)
