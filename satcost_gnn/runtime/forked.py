"""Jobs in forked processes: they share the caller's memory, end with it, and one that dies takes nothing else along."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from satcost_gnn.errors import SatcostError
from satcost_gnn.runtime.logs import log
from satcost_gnn.runtime.process_tree import die_with_parent

#: Does the work; called in the child. What it logs goes to the parent.
Job = Callable[[], None]


class _ToParent(logging.Handler):
    """Passes messages to the parent, which knows where to write them."""

    def __init__(self, channel: Connection) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a message on."""
        self._channel.send((record.levelno, record.getMessage()))


def _work(job: Job, channel: Connection, parent: int) -> None:
    # Killed with its parent: otherwise it would go on working, and hold the parent's locks.
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    # An interrupt goes to the whole group of processes; the parent ends the children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        log.handlers[:] = [_ToParent(channel)]
        job()
        channel.send((None, ""))
    except SatcostError as error:
        channel.send((None, str(error)))
    except BaseException as error:
        log.error(traceback.format_exc().rstrip())
        channel.send((None, f"{type(error).__name__}: {error}"))
    finally:
        channel.close()
        sys.stderr.flush()


def run_forked(jobs: Sequence[Job], names: Sequence[str], at_a_time: int, on_end: Callable[[int, str], None]) -> None:
    """Run jobs, each in a forked process of its own.

    Parameters
    ----------
    jobs
        What to do; a result must be left where the parent finds it, such as in a file.
    names
        What each is called; messages of theirs begin with it.
    at_a_time
        Processes at a time.
    on_end
        Called with the number of each job that has ended and what went wrong, empty if nothing did.
    """
    context = multiprocessing.get_context("fork")
    waiting = list(enumerate(jobs))[::-1]
    running: dict[Connection, tuple[int, ForkProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                number, job = waiting.pop()
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, there, os.getpid()), daemon=True)
                process.start()
                there.close()
                running[here] = number, process
            for channel in wait(list(running)):
                assert isinstance(channel, Connection)
                number, process = running[channel]
                try:
                    level, text = channel.recv()
                except (EOFError, OSError):
                    level, text = None, _why_dead(process)
                if level is not None:
                    log.log(level, f"{names[number]}: {text}")
                    continue
                del running[channel]
                process.join()
                channel.close()
                on_end(number, text)
    finally:
        for channel, (_, process) in running.items():
            process.kill()
            process.join()
            channel.close()


def _why_dead(process: ForkProcess) -> str:
    process.join()
    code = process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"its process ended with exit code {code}"
