"""A process that is forked after a prediction predicts, too."""

import copy
import os
import pickle
import subprocess
import sys

from satcost_gnn.formula import Formula
from satcost_gnn.runtime.sandbox import Limits
from satcost_gnn.serve.predictor import Predictor

# Two threads, whose team a forked process doesn't have; large enough that torch shares the work out among them.
PROGRAM = """
import multiprocessing, random
from satcost_gnn.serve.predictor import Predictor

rng = random.Random(1)
clauses = [[v * rng.choice((1, -1)) for v in rng.sample(range(1, 351), 3)] for _ in range(1500)]

def work(queue):
    found = predictor.predict(clauses)
    queue.put((found.source, found.quantile(0.05)))

with Predictor.from_checkpoint() as predictor:
    before = predictor.predict(clauses)
    assert before.source == "ensemble", before.reason
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=work, args=(queue,), daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0, child.exitcode
        assert queue.get() == ("ensemble", before.quantile(0.05))
    assert predictor.predict(clauses).quantile(0.05) == before.quantile(0.05)
print("all the same")
"""


def test_a_prediction_in_a_forked_process_is_the_same() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert "all the same" in done.stdout, done.stderr


def test_a_predictor_that_has_predicted_can_be_sent_to_another_process_and_copied() -> None:
    """As ``Pool.map(predictor.predict, files)`` does; the helper process stays with the one that has started it."""
    formula = Formula.from_clauses([[1, 2], [-1, 2], [1, -2]])
    with Predictor.from_checkpoint(start="constant") as predictor:
        first = predictor.predict(formula)
        for other in (pickle.loads(pickle.dumps(predictor)), copy.deepcopy(predictor), copy.copy(predictor._sandbox)):
            with other:
                if isinstance(other, Predictor):
                    assert other.predict(formula).result == first.result == "SAT"
                else:
                    assert other.run("math:sqrt", {"args": (4.0,)}, Limits(5, 60, 256)).value == 2.0
        assert predictor.predict(formula).result == "SAT"
