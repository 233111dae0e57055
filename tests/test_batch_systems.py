"""Training is of one process on this machine, whatever the variables of a batch system say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Prints a digest of the weights, as the processor's sums are the same for the same seed.
PROGRAM = """
import hashlib, os
before = dict(os.environ)
import torch
from synthetic_graphs import SMALL_MODEL, make_graph_table
from satcost_gnn.config import NetworkConfig
from satcost_gnn.learn.network.estimator import GnnEstimator
torch.set_num_threads(1)
config = NetworkConfig.checked({
    "model": SMALL_MODEL, "optimiser": {"epochs": 2, "patience": 10},
    "batches": {"graphs": 3, "workers": 1}, "accelerator": "cpu",
})
train, validation = make_graph_table(8, 0), make_graph_table(4, 1)
estimator = GnnEstimator(config, device="cpu").fit(train, validation=[validation])
digest = hashlib.sha256()
for member in estimator._members:
    for name, value in sorted(member.state_dict().items()):
        digest.update(value.numpy().tobytes())
estimator.save(__import__("pathlib").Path(os.environ["PLACE"]))
changed = {k for k in before if os.environ.get(k) != before[k] and not k.startswith(("OMP", "KMP", "PL_"))}
print("digest", digest.hexdigest(), sorted(changed))
"""

SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NPROCS": "4", "SLURM_NTASKS_PER_NODE": "4",
    "SLURM_JOB_NAME": "train", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "1",
    "SLURM_JOB_NODELIST": "node[1-4]", "SLURM_NODELIST": "node[1-4]", "SLURM_NNODES": "4", "SLURM_JOB_NUM_NODES": "4",
}  # fmt: skip
OTHERS = {
    # torchrun
    "WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "1", "NODE_RANK": "1",
    "MASTER_ADDR": "192.0.2.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "x",
    # MPI
    "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "3",
    "PMI_SIZE": "4", "PMI_RANK": "3", "PMIX_RANK": "3", "MPI_LOCALRANKID": "3",
    # LSF
    "LSB_JOBID": "7", "LSB_DJOB_RANKFILE": "/no/such/file", "LSB_DJOB_NUMPROC": "4", "LSB_MCPU_HOSTS": "a 2 b 2",
    "JSM_NAMESPACE_SIZE": "4", "JSM_NAMESPACE_RANK": "3", "JSM_NAMESPACE_LOCAL_RANK": "3",
    # PBS, Torque, Kubeflow
    "PBS_JOBID": "7", "PBS_NODEFILE": "/no/such/file", "PBS_NP": "4", "PBS_NUM_PPN": "4",
    "KUBERNETES_PORT": "tcp://192.0.2.1:443",
}  # fmt: skip


def trained(place: Path, variables: dict[str, str]) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in SLURM | OTHERS}
    environment |= {"PYTHONPATH": str(Path(__file__).parent), "PLACE": str(place)} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [*place.rglob("*.safetensors")]
    return next(line for line in done.stdout.splitlines() if line.startswith("digest"))


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> str:
    return trained(tmp_path_factory.mktemp("outside"), {})


@pytest.mark.parametrize("variables", [SLURM, OTHERS], ids=["slurm", "others"])
def test_training_is_the_same_inside_a_batch_system(tmp_path: Path, outside: str, variables: dict[str, str]) -> None:
    inside = trained(tmp_path, variables)
    assert inside == outside
    # Nor are the variables touched.
    assert inside.endswith("[]")
