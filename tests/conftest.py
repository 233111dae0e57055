import os

# One thread a process: the suite runs several processes, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
