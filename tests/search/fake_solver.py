"""A solver for tests: ``python fake_solver.py BEHAVIOUR FORMULA [SEED]``. Tiny formulas only."""

import itertools
import mmap
import os
import signal
import sys
import time
from pathlib import Path


def model(path: str) -> list[int] | None:
    clauses, n = [], 0
    for line in Path(path).read_text().splitlines():
        if line.startswith("p"):
            n = int(line.split()[2])
        elif line and not line.startswith("c"):
            clauses.append([int(word) for word in line.split()][:-1])
    for signs in itertools.product((1, -1), repeat=n):
        values = [sign * v for sign, v in zip(signs, range(1, n + 1), strict=True)]
        if all(any(literal in values for literal in clause) for clause in clauses):
            return values
    return None


def answer(values: list[int] | None, *, code: bool = True) -> int:
    if values is None:
        print("s UNSATISFIABLE")
        return 20 * code
    print("s SATISFIABLE")
    for k in range(0, len(values), 2):
        print("v", *values[k : k + 2])
    print("v 0")
    return 10 * code


def spin() -> None:
    while True:
        pass


def main() -> int:
    behaviour, path = sys.argv[1:3]
    print("c A fake.\nc conflicts:             12     3.40    per second", flush=True)
    if behaviour == "solve":
        print("c decisions              : 34             (0.00 % random)\nc propagations: 5.6 M\nc restarts : 7")
        return answer(model(path))
    if behaviour == "solve-later":
        # Counted in short sleeps: what goes by while it is paused, or while the machine stands still, is not counted.
        for _ in range(200):
            time.sleep(0.01)
        return answer(model(path))
    if behaviour.startswith("solve-when:"):
        # As soon as a file is there.
        while not Path(behaviour.removeprefix("solve-when:")).exists():
            time.sleep(0.01)
        return answer(model(path))
    if behaviour == "exit-0":
        return answer(model(path), code=False)
    if behaviour == "exit-1":
        answer(model(path))
        return 1
    if behaviour == "one-line":
        print("s SATISFIABLE\nv " + " ".join(map(str, model(path) or [])) + " 0", end="", flush=True)
        return 10
    if behaviour == "result-file":
        found = model(path)
        text = "UNSAT\n" if found is None else "SAT\n" + " ".join(map(str, found)) + " 0\n"
        Path(sys.argv[3]).write_text(text)
        print("UNSATISFIABLE" if found is None else "SATISFIABLE")
        return 20 if found is None else 10
    if behaviour == "seed":
        print(f"c restarts: {sys.argv[3]}\nc decisions: {sum(map(ord, Path(path).read_text()))}")
        return answer(model(path))
    if behaviour == "wrong-model":
        return answer([-value for value in model(path) or []])
    if behaviour == "no-model":
        print("s SATISFIABLE")
        return 10
    if behaviour == "always-unsat":
        return answer(None)
    if behaviour == "both":
        print("s UNSATISFIABLE")
        return answer(model(path))
    if behaviour == "unknown":
        print("s UNKNOWN")
        return 0
    if behaviour == "rubbish":
        sys.stdout.buffer.write(bytes(range(256)) * 20000 + b"\nv 1 2 x\nv 99999999999999999999 0\ns MAYBE\nwhat now\n")
        return 0
    if behaviour == "rubbish-model":
        print("s SATISFIABLE\nv 1 two 3 0")
        return 10
    if behaviour == "endless-model":
        print("s SATISFIABLE")
        for _ in range(200):
            print("v " + "1 2 " * 1000)
        return 10
    if behaviour == "segmentation-fault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "spin":
        spin()
    if behaviour == "sum-up-on-sigterm":

        def stop(*_: object) -> None:
            print("c conflicts: 4321\ns UNKNOWN", flush=True)
            os._exit(0)

        signal.signal(signal.SIGTERM, stop)
        spin()
    if behaviour == "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("c conflicts: 77", flush=True)
        spin()
    if behaviour == "sleep":
        time.sleep(60)
    if behaviour == "fork":
        # One that stays, one in a session of its own whose parent has gone.
        for orphan in (False, True):
            if os.fork() == 0:
                if orphan:
                    os.setsid()
                    if os.fork():
                        os._exit(0)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                spin()
        signal.pause()
    if behaviour == "fork-and-answer":
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
        return answer(model(path))
    if behaviour == "eat-memory":
        held = []
        while True:
            held.append(bytearray(1 << 20))
    if behaviour == "eat-memory-in-children":
        # Each stays below the limit of one process.
        for _ in range(4):
            if os.fork() == 0:
                held = bytearray(b"x") * (60 << 20)
                time.sleep(60)
                print(len(held))
        time.sleep(60)
    if behaviour == "reserve":
        # Never touched.
        held_for_later = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        return answer(model(path)) + 0 * len(held_for_later)
    if behaviour == "bad-alloc":
        print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr, flush=True)
        os.abort()
    raise AssertionError(behaviour)


if __name__ == "__main__":
    sys.exit(main())
