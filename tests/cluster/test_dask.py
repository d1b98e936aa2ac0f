"""Dask, started for real: the bits of a serial run, a worker killed, a stranger refused."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import sparseimplicit as si
from sparseimplicit._optional import available
from sparseimplicit.cluster import Dask
from sparseimplicit.cluster.dask import slurm_cluster
from sparseimplicit.errors import ConfigError, SparseImplicitError
from sparseimplicit.imaging import TotalVariation, train
from sparseimplicit.imaging.training import Accuracy, FullBatch, Training
from tests.outer.test_executors import minimized, same, smoothing, tracking_of

pytestmark = [
    pytest.mark.dask,
    pytest.mark.skipif(not available("distributed"), reason="Dask is not installed (extra 'dask')"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets that Dask leaves to the loop
]


class Seat:
    """Adds up, and tells where."""

    def __init__(self, total):
        self.total = total

    def answer(self, x, payload=b"", deadly=False):
        if deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.total += x
        return self.total, os.getpid(), threads()


def threads():
    import numba
    from threadpoolctl import threadpool_info

    return numba.get_num_threads(), {one["num_threads"] for one in threadpool_info()}


def listening():
    """Where this process and its children are listening: address and port."""
    psutil = pytest.importorskip("psutil", reason="the extra dask is not installed")
    me = psutil.Process()
    return {
        (c.laddr.ip, c.laddr.port)
        for process in [me, *me.children(recursive=True)]
        for c in process.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    }


@pytest.fixture(scope="module")
def of_others():
    """Sockets that were open before: MPI's, where PETSc has been tried in this process."""
    return listening()


@pytest.fixture(scope="module")
def started(of_others):
    with Dask(2) as cluster:
        yield cluster


@pytest.fixture
def two(started):
    started._client.wait_for_workers(2, timeout=60)  # one may have been killed by a test
    return started


@pytest.fixture(scope="module")
def five():
    random = np.random.default_rng(7)
    truths = [np.sin(np.linspace(0, k + 2, 40)) for k in range(5)]
    data = [truth + 0.3 * random.standard_normal(40) for truth in truths]
    return [tracking_of(t) for t in truths], [smoothing(d) for d in data], data


def crew_of(cluster, totals):
    return cluster.open(Seat, lambda k, of: (totals.get(k, 0.0),), 8)


def test_a_worker_killed_in_mid_run_changes_no_bit(two, five):
    crews, start = [], two.open

    def open(*given):
        crews.append(start(*given))
        return crews[-1]

    def kill(evaluation):
        if evaluation.evaluation == 2:
            crew = crews[-1]
            pids = two._client.run(os.getpid)
            os.kill(pids[crew._at[0]], signal.SIGKILL)

    two.open = open
    try:
        found = minimized(five, executor=two, callback=kill)
    finally:
        del two.open
    same(found, minimized(five))
    notes = [note for evaluation in found.history for note in evaluation.notes]
    assert any("made anew" in note for note in notes)


@pytest.mark.parametrize("kept", [True, False])
def test_images_are_learned_from_on_workers(two, kept, tmp_path):
    random = np.random.default_rng(3)
    from sparseimplicit.imaging.training import noisy_examples

    smooth = [
        np.outer(np.sin(np.arange(18) / (3 + k)), np.cos(np.arange(16) / 4)) for k in range(3)
    ]
    examples = noisy_examples([(str(k), 60 * s + 100) for k, s in enumerate(smooth)], 25.0, seed=0)
    plan = Training(
        TotalVariation(weight="directions"), examples,
        (FullBatch(max_iterations=3, accuracy=Accuracy(1e-4, 1e-6, 3)),),
        start=1.0 + random.random(2),
    )  # fmt: skip
    here = train(plan)
    crews, start = [], two.open

    def open(*given):
        crews.append(start(*given))
        return crews[-1]

    def kill(step):
        if step.step == 2:
            os.kill(two._client.run(os.getpid)[crews[0]._at[1]], signal.SIGKILL)

    two.open = open
    try:
        there = train(plan, executor=two, checkpoint=tmp_path if kept else None, callback=kill)
    finally:
        del two.open
    np.testing.assert_array_equal(here.theta, there.theta)
    assert [s.value for s in here.history] == [s.value for s in there.history]
    assert any("made anew" in note for step in there.history for note in step.notes)


def test_each_worker_has_its_share_of_the_threads(two):
    crew = crew_of(two, {})
    replies = crew.ask(dict.fromkeys(range(2), (1.0,)))
    share = max(si.executors.available_cores() // 2, 1)
    for _, _, (numba, others) in replies.values.values():
        assert (numba, others) == (share, {share})
    assert len({pid for _, pid, _ in replies.values.values()}) == 2


def test_large_messages_and_seats(two):
    crew = crew_of(two, {})
    for total in (1.0, 2.0):
        replies = crew.ask({k: (1.0, bytes(2_000_000)) for k in range(2)})
        assert {value[0] for value in replies.values.values()} == {total}
    large = two.open(_Large, lambda k, of: (np.full(200_000, float(k)),), 2)
    assert large.ask({0: (), 1: ()}).values == {0: 0.0, 1: 200_000.0}


class _Large:
    def __init__(self, array):
        self.array = array

    def answer(self):
        return float(self.array.sum())


def test_what_kills_every_worker_ends_the_run(two):
    crew = crew_of(two, {})
    two._own.scheduler.allowed_failures = 1  # three by default
    with pytest.raises(SparseImplicitError, match="one worker after another was lost"):
        crew.ask({0: (1.0, b"", True)})


STRANGER = """
import sys
from distributed import Client, Security
try:
    Client(sys.argv[1], timeout=5, security={security})
except Exception as error:
    print("refused", type(error).__name__)
"""
STRANGER_OF_OURS = """
import sys
from distributed import Security
from sparseimplicit.cluster import Dask
from sparseimplicit.errors import SparseImplicitError
try:
    Dask(sys.argv[1], security=Security.temporary(), patience=5)
except SparseImplicitError as error:
    print("refused", error.what)
"""


# In processes of their own: to make a client where one has failed may hang (distributed 2026.8).
@pytest.mark.parametrize(
    "code",
    [
        STRANGER.format(security="None"),
        STRANGER.format(security="Security.temporary()"),
        STRANGER_OF_OURS,
    ],
)
def test_a_client_without_the_certificate_is_refused(two, code):
    assert two.address.startswith("tls://127.0.0.1:")
    run = subprocess.run(
        [sys.executable, "-c", code, two.address], capture_output=True, text=True, check=False
    )
    assert run.stdout.startswith("refused"), run.stderr


def test_what_is_not_protected_is_refused():
    with pytest.raises(ConfigError, match="no certificate"):
        Dask("tls://127.0.0.1:8786")
    with pytest.raises(ConfigError, match="not protected"):
        Dask("tcp://127.0.0.1:8786")
    with pytest.raises(ConfigError, match="is no certificate"):
        Dask(2, security={"ca": "ca.pem"})


def test_all_sockets_are_of_this_machine_alone(two, of_others):
    ours = listening() - of_others
    assert len(ours) >= 4
    assert {address for address, _ in ours} == {"127.0.0.1"}


def test_the_job_script_of_slurm(tmp_path):
    cluster = slurm_cluster(
        cores=4, memory="3GB", walltime="00:10:00", queue="batch", interface="lo",
        folder=tmp_path / "logs", security=None, dashboard=False, options={"account": "mine"},
    )  # fmt: skip
    try:
        script = cluster.job_script()
        assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
    finally:
        cluster.close()
    for wanted in ("#SBATCH -p batch", "#SBATCH -A mine", "#SBATCH --requeue", "--tls-key",
                   "export OMP_NUM_THREADS=4", "#SBATCH -t 00:10:00", "--nthreads 4"):  # fmt: skip
        assert re.search(re.escape(wanted), script), script
