"""Children of the sandbox find the modules of this directory, too, and experiments those of the benchmarks."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(HERE.parent / "benchmarks"))
