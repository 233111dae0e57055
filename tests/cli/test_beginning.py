import subprocess
import sys
import time

from satcost_gnn.cli.beginning import command_began
from satcost_gnn.runtime.process_tree import process_start


def test_a_process_of_many_calls_is_not_the_command():
    assert process_start() < time.monotonic() - 0.05
    before = time.monotonic()
    assert before <= command_began() <= time.monotonic()


def test_a_process_that_is_the_command_began_with_it():
    code = (
        "import time; from satcost_gnn.cli.beginning import command_began, process_of_the_command\n"
        "from satcost_gnn.runtime.process_tree import process_start\n"
        "time.sleep(0.1)\n"
        "with process_of_the_command():\n"
        "    assert abs(command_began() - process_start()) < 0.05 and command_began() < time.monotonic() - 0.1\n"
        "assert command_began() > process_start() + 0.1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
