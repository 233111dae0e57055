import os

# One thread a process: the suite runs several processes, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test says itself if it wants results to be kept: what one has found must not answer another.
os.environ.setdefault("SATCOST_CACHE_MIB", "0")
