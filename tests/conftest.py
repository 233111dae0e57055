import os

# One thread a process: the suite runs several processes, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before any test module loads PySAT: in the other order gbdc's own isohash2, which tests compare with, dies.
import gbdc  # noqa: F401
