"""Rows of a data set for tests of what is trained on them."""

from satcost_gnn.data.schema import Run, RunStatus


def plain_run(name: str, **values: object) -> Run:
    plain = {"seed": 0, "status": RunStatus.SAT, "conflicts": 10, "decisions": 20, "propagations": 99, "restarts": 0}
    spent = {"cpu_s": 0.01, "wall_s": 0.01, "peak_memory_mb": 9.0}
    limits = {"cpu_limit_s": 10.0, "wall_limit_s": 60.0, "memory_limit_mb": 999}
    about = {"solver": "cadical195", "solver_version": "1", "machine": "none", "detail": ""}
    return Run(instance=name, **{**plain, **spent, **limits, **about, **values})
