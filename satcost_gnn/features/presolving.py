"""Preprocessing of many files of which a plain run answers most: small ones share a child as long as all goes well.

A child of its own costs more than the answer of an easy file. So small files are read and searched one after another in
one child; those that the plain run doesn't answer go on in a child of their own. So does the file that was being worked
on when a shared child died or came to a limit, from the beginning: whatever a file does, it has done it to itself.
"""

from __future__ import annotations

import queue
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from satcost_gnn.features.preprocessing import Key, Preprocessed, concluded, preprocess
from satcost_gnn.features.spec import PreprocessSettings
from satcost_gnn.formula.sources import FormulaFile, FormulaSource
from satcost_gnn.runtime.progress import waiting
from satcost_gnn.runtime.sandbox import Limits, Sandbox
from satcost_gnn.runtime.sandbox_pool import SandboxPool

# Files that share a child at most, and their size: a larger one takes longer than a child of its own.
_TOGETHER, _MOST_BYTES = 64, 1 << 20
# CPU seconds after which a shared child begins no further file, and what reading one may take beside its plain run.
_CALL_S, _READING_S = 0.5, 2.0


@dataclass(frozen=True)
class _Waiting(Generic[Key]):
    """A source, what is known of it, and whether it is to be alone."""

    key: Key
    source: FormulaSource
    begun: dict[str, Any] | None = None
    alone: bool = False

    @property
    def may_share(self) -> bool:
        """Whether it is a small file that nothing has happened with."""
        if self.alone or not isinstance(self.source, FormulaFile):
            return False
        try:
            about = Path(self.source.path).stat()
        except (OSError, ValueError):
            return False
        return stat.S_ISREG(about.st_mode) and about.st_size <= _MOST_BYTES


@dataclass(frozen=True)
class _Handled(Generic[Key]):
    """What came of a call: what is done, and what is to be gone on with."""

    done: list[tuple[Key, Preprocessed]]
    left: list[_Waiting[Key]]


def presolve_many(
    sources: Iterable[tuple[Key, FormulaSource]],
    settings: PreprocessSettings,
    *,
    jobs: int = 1,
    idle_s: float = 0.05,
    then: Callable[[FormulaSource, Preprocessed, Sandbox], Preprocessed],
) -> Iterator[tuple[Key, Preprocessed] | None]:
    """Preprocess many inputs as :func:`~.preprocessing.preprocess_many` does, but small files in shared children.

    Sources are consumed some dozens ahead; ``then`` is called for what the plain run has not answered.
    """
    stream = (_Waiting(key, source) for key, source in sources)
    ahead: deque[_Waiting[Key]] = deque()

    def take() -> _Waiting[Key] | None:
        return ahead.popleft() if ahead else next(stream, None)

    def group() -> list[_Waiting[Key]]:
        members: list[_Waiting[Key]] = []
        while len(members) < _TOGETHER and (one := take()) is not None:
            if settings.features.plain is None or not one.may_share:
                if members:
                    ahead.appendleft(one)
                    break
                return [one]
            members.append(one)
        return members

    def call(members: list[_Waiting[Key]]) -> Callable[[Sandbox], _Handled[Key]]:
        if len(members) > 1:
            return lambda sandbox: _in_one_child(members, settings, sandbox)

        def alone(sandbox: Sandbox) -> _Handled[Key]:
            (one,) = members
            found = preprocess(one.source, settings, sandbox, begun=one.begun)
            return _Handled([(one.key, then(one.source, found, sandbox))], [])

        return alone

    with SandboxPool[_Handled[Key]](jobs) as pool:
        while True:
            while pool.pending < 2 * pool.size and (members := group()):
                pool.submit(call(members))
            if not pool.pending:
                return
            try:
                handled = pool.next(idle_s)
            except queue.Empty:
                waiting()
                yield None
                continue
            ahead.extendleft(reversed(handled.left))
            yield from handled.done


def _in_one_child(members: list[_Waiting[Key]], settings: PreprocessSettings, sandbox: Sandbox) -> _Handled[Key]:
    plain, limits = settings.features.plain, settings.limits
    assert plain is not None
    results: list[dict[str, Any]] = []
    outcome = sandbox.run(
        "satcost_gnn.features.plain_runs:plain_runs_child",
        {"files": [one.source for one in members], "settings": settings, "most_cpu_s": _CALL_S},
        Limits(_CALL_S + _READING_S + plain.cpu_s, limits.wall_s, limits.memory_mb),
        results.append,
    )
    handled = _Handled[Key]([], [])
    for one, found in zip(members, results, strict=False):
        assert isinstance(one.source, FormulaFile)
        if "read_error" in found or ("plain" in found and found["plain"] is not None and found["plain"].solved):
            handled.done.append((one.key, concluded(one.source.name, found, settings)))
        else:
            handled.left.append(replace(one, begun=found, alone=True))
    rest = members[len(results) :]
    if rest and outcome.status != "OK":
        rest[0] = replace(rest[0], alone=True)
    handled.left.extend(rest)
    return handled
