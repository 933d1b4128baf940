"""A worker process ends with the process that started it, even where that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

WITH_A_WORKER = """
import os
from fvlm_data.worker_process import worker_pool

if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    input()
"""


def test_a_killed_parent_leaves_no_worker(tmp_path: Path):
    program = tmp_path / "parent.py"
    program.write_text(WITH_A_WORKER)
    parent = subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    # the pipe has an end in each process that was given it: it closes when the last has ended
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.send_signal(signal.SIGKILL)
    assert parent.stdout.read() == ""
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
