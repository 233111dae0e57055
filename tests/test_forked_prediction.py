"""A process that is forked after a prediction predicts, too."""

import os
import subprocess
import sys

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
    assert before.source == "gnn", before.reason
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    children = [context.Process(target=work, args=(queue,), daemon=True) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0, child.exitcode
        assert queue.get() == ("gnn", before.quantile(0.05))
    assert predictor.predict(clauses).quantile(0.05) == before.quantile(0.05)
print("all the same")
"""


def test_a_prediction_in_a_forked_process_is_the_same() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert "all the same" in done.stdout, done.stderr
