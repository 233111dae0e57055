"""A signal at a moment of this process's CPU time, handled at once whatever a solver is at."""

from __future__ import annotations

import ctypes
import signal
import time
from collections.abc import Callable


def at_cpu_limit(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """Call ``action`` from a C signal handler when this process has used ``seconds`` of CPU time from now on.

    A Python handler would wait until the solver returns to the interpreter, that is for ever.

    Returns
    -------
    Callable
        Ends the timer; to be kept as long as the handler may be called.
    """
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: action())
    libc = ctypes.CDLL(None, use_errno=True)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    # Not SIGALRM, which is a timer's default: MapleLCM sets a handler of its own for it.
    libc.signal(signal.SIGPROF, ctypes.cast(handler, ctypes.c_void_p))
    # A timer on the scheduler's own clock. ITIMER_PROF counts whole ticks to whoever runs when they strike: on a busy
    # machine it was seen to end runs after less than nine tenths of their time.
    timer = ctypes.c_void_p()
    # struct sigevent, 64 bytes: a value of 8 bytes, the signal, how to notify (0: by the signal).
    event = (ctypes.c_int * 16)(0, 0, signal.SIGPROF, 0)
    if libc.timer_create(time.CLOCK_PROCESS_CPUTIME_ID, event, ctypes.byref(timer)):
        raise OSError(f"cannot set a timer on CPU time: timer_create failed with errno {ctypes.get_errno()}")
    # struct itimerspec: interval (none), then the first expiry, each in seconds and nanoseconds.
    nanoseconds = max(1, round(seconds * 1e9))
    when = (ctypes.c_long * 4)(0, 0, nanoseconds // 10**9, nanoseconds % 10**9)
    libc.timer_settime(timer, 0, when, None)

    def disarm() -> None:
        libc.timer_delete(timer)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        # Kept alive until here.
        del held[:]

    held = [handler]
    return disarm
