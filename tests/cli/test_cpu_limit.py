"""A limit on CPU time that a command inherits ends it with a message, not with a kill."""

import resource
import subprocess
import sys

import pytest

BUSY = """
import sys
import satcost_gnn.cli as cli

def busy():
    print("begun", flush=True)
    while True:
        pass

cli.app = busy
sys.argv[:] = ["satcost"]
cli.main()
"""


@pytest.mark.parametrize("limit", [2, 3])
def test_a_command_is_interrupted_before_the_kernel_kills_it(limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
    )
    assert (done.returncode, done.stdout) == (130, "begun\n"), done.stderr
    assert f"CPU limit of {limit} s for this process (inherited: `ulimit -t`)" in done.stderr
    assert done.stderr.splitlines()[-1] == "satcost: interrupted"


def test_without_a_limit_nothing_is_set() -> None:
    code = "import signal\nfrom satcost_gnn.cli.cpu_limit import interrupted_before_cpu_limit\n"
    code += "with interrupted_before_cpu_limit():\n"
    code += "    print(signal.getitimer(signal.ITIMER_PROF), signal.getsignal(signal.SIGPROF) == signal.SIG_DFL)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(0.0, 0.0) True\n"
