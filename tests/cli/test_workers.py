"""Who visits the images of a job, as its file says."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparseimplicit._optional import available
from sparseimplicit.cli.app import main
from sparseimplicit.cli.jobs.running import Execution
from sparseimplicit.cli.jobs.source import read_source
from sparseimplicit.cli.jobs.workers import workers_of
from sparseimplicit.errors import ConfigError

DATASETS = Path(__file__).resolve().parent.parent.parent / "datasets"
needs_dask = pytest.mark.skipif(
    not available("distributed"), reason="Dask is not installed (extra 'dask')"
)
JOB = """
[model]
start = 1.0
[data]
images = ["a.png", "b.png"]
[training]
max_iterations = 3
[run]
"""
SCHEDULER = (
    'dask = { address = "tls://10.0.0.1:8786", ca = "a.pem", cert = "b.pem", key = "c.pem" }'
)
SLURM = "dask.slurm = { nodes = 4, cores = 8, memory = '16 GB', walltime = '90min' }"


def told(folder, text, jobs=None):
    (folder / "job.toml").write_text(JOB + text)
    source = read_source(folder / "job.toml", [])
    run = Execution.model_validate(source.raw["run"])
    return workers_of(source, run, jobs, folder / "logs")


@pytest.mark.parametrize(
    ("text", "jobs", "found"),
    [
        ("", None, ("serial", 1)),
        ("", 3, ("processes", 3)),
        ('executor = "processes"\njobs = 5', None, ("processes", 5)),
        ('executor = "processes"\njobs = 5', 1, ("serial", 1)),
        pytest.param('executor = "dask"\njobs = 3', None, ("dask", 3), marks=needs_dask),
        pytest.param(f'executor = "dask"\n{SLURM}', None, ("dask", 4), marks=needs_dask),
    ],
)
def test_who(tmp_path, text, jobs, found):
    workers = told(tmp_path, text, jobs)
    assert (workers.kind, workers.count) == found


@pytest.fixture
def certificates(tmp_path):
    """Those of a scheduler, beside the job."""
    pytest.importorskip("cryptography", reason="makes the certificates")
    security = pytest.importorskip("distributed", reason="extra 'dask'").Security.temporary()
    for name, text in (("a", security.tls_ca_file), ("b", security.tls_worker_cert),
                       ("c", security.tls_worker_key)):  # fmt: skip
        (tmp_path / f"{name}.pem").write_text(text)
    return tmp_path


@needs_dask
def test_certificates_lie_beside_the_job(certificates, tmp_path):
    workers = told(tmp_path, f'executor = "dask"\n{SCHEDULER}')
    assert (workers.kind, workers.count) == ("dask", 0)
    assert workers.security == {
        name: tmp_path / f"{file}.pem" for name, file in (("ca", "a"), ("cert", "b"), ("key", "c"))
    }


@needs_dask
@pytest.mark.parametrize("key", ["ca", "cert", "key"])
@pytest.mark.parametrize("how", ["missing", "rubbish", "folder"])
def test_a_file_that_is_no_certificate_is_named_with_its_key(certificates, key, how):
    path = certificates / f"{'abc'[['ca', 'cert', 'key'].index(key)]}.pem"
    path.unlink()
    if how == "rubbish":
        path.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    elif how == "folder":
        path.mkdir()
    with pytest.raises(ConfigError, match=rf"line \d+: run.dask.{key}: .*{path.name}"):
        told(certificates, f'executor = "dask"\n{SCHEDULER}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SLURM, "for executor 'dask', not 'serial'"),
        pytest.param(
            'executor = "dask"\ndask.address = "tls://10.0.0.1:8786"',
            "address and the files ca, cert and key", marks=needs_dask,
        ),
        pytest.param(
            'executor = "dask"\ndask.ca = "ca.pem"', "a scheduler is told by", marks=needs_dask
        ),
        pytest.param(
            f'executor = "dask"\njobs = 2\n{SLURM}', "a cluster of its own", marks=needs_dask
        ),
    ],
)  # fmt: skip
def test_contradictions_are_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        told(tmp_path, text)


@needs_dask
@pytest.mark.dask
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # sockets that Dask leaves to the loop
def test_workers_of_dask_learn_what_one_process_does(tmp_path):
    for name in ("lantern", "pier"):
        with Image.open(DATASETS / f"{name}.png") as image:
            image.crop((120, 100, 152, 130)).save(tmp_path / f"{name[0]}.png")
    text = JOB.replace("a.png", "l.png").replace("b.png", "p.png")
    for where in ("serial", "dask"):
        (tmp_path / f"{where}.toml").write_text(f'{text}executor = "{where}"\njobs = 2\n')
        job, out = str(tmp_path / f"{where}.toml"), str(tmp_path / where)
        assert main(["run", job, "--out", out]) in (0, 10)  # three iterations may not do
    one, other = (np.load(tmp_path / where / "theta.npy") for where in ("serial", "dask"))
    np.testing.assert_array_equal(one, other)
    assert json.loads((tmp_path / "dask" / "metrics.json").read_text())["theta"] == one[0]
