"""Sweeps: a grid or a list becomes tasks; each runs once, and what failed is listed with why."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sparseimplicit.cli.app import main
from sparseimplicit.cluster.tasks import Task, expanded, write_tasks
from sparseimplicit.errors import ConfigError
from sparseimplicit.verify.zoo import laplacian

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts" / "slurm"


def test_a_grid_varies_its_last_key_fastest_for_each_task_of_a_list():
    tasks = expanded({"a.b": [1, 2], "c": [[3], [4, 5]]}, [{"d": 0}, {"d": 1}])
    assert len(tasks) == 8
    assert tasks[0] == Task(0, {"d": 0, "a.b": 1, "c": [3]})
    assert tasks[1].given == {"d": 0, "a.b": 1, "c": [4, 5]}
    assert tasks[7] == Task(7, {"d": 1, "a.b": 2, "c": [4, 5]})
    assert tasks[1].title == "d = 0, a.b = 1, c = [4, 5]"
    assert expanded({}, []) == [Task(0, {})]


@pytest.mark.parametrize(
    ("grid", "listed", "word"),
    [({"a": 1}, [], "no list"), ({"a": []}, [], "no list"), ({"a": [1, 1]}, [], "the same")],
)
def test_what_is_no_grid(grid, listed, word):
    with pytest.raises(ConfigError, match=word):
        expanded(grid, listed)


def test_the_folder_of_other_tasks_is_refused(tmp_path):
    write_tasks(tmp_path, expanded({"a": [1, 2]}, []), "job")
    write_tasks(tmp_path, expanded({"a": [1, 2]}, []), "job")
    with pytest.raises(ConfigError, match="another sweep"):
        write_tasks(tmp_path, expanded({"a": [1, 3]}, []), "job")
    with pytest.raises(ConfigError, match="another sweep"):
        write_tasks(tmp_path, expanded({"a": [1, 2]}, []), "another job")


@pytest.fixture
def sweep(tmp_path):
    """Three gradients: of a sound matrix, of a singular one, and once more with another solver."""
    B = sparse.random_array((64, 3), density=0.3, rng=np.random.default_rng(0), format="csr")
    sparse.save_npz(tmp_path / "sound.npz", sparse.csr_array(laplacian(8, 8, 0.1)))
    sparse.save_npz(tmp_path / "singular.npz", sparse.csr_array(laplacian(8, 8)))
    sparse.save_npz(tmp_path / "B.npz", B)
    np.save(tmp_path / "v.npy", np.ones(64))
    (tmp_path / "job.toml").write_text(
        'kind = "gradient"\n[system]\nhessian = "sound.npz"\ncross_hessian = "B.npz"\n'
        'cotangent = "v.npy"\n'
    )
    (tmp_path / "sweep.toml").write_text(
        'kind = "sweep"\njob = "job.toml"\nrun.out = "all"\n'
        '[[task]]\nsystem.hessian = "sound.npz"\n[[task]]\nsystem.hessian = "singular.npz"\n'
        '[[task]]\nsystem.hessian = "sound.npz"\nsolver.linear = "superlu"\n'
    )
    return tmp_path


def test_tasks_run_once_and_collect_lists_what_failed(sweep, capsys, monkeypatch):
    file = str(sweep / "sweep.toml")
    assert main(["sweep", file]) == 0
    printed = capsys.readouterr().out
    assert 'system.hessian = "singular.npz"' in printed
    assert "--array=0-2" in printed
    assert main(["sweep", file, "--task", "0"]) == 0
    assert main(["sweep", file, "--task", "0"]) == 0
    assert "done already" in capsys.readouterr().out
    assert main(["sweep", file, "--task", "3"]) == 2
    assert "tasks are 0 to 2" in capsys.readouterr().err
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert main(["sweep", file]) == 11
    assert "task 1 (system.hessian" in capsys.readouterr().err

    assert main(["collect", str(sweep / "all"), "--metric", "columns"]) == 12
    printed = capsys.readouterr()
    assert "--array=2\n" in printed.err
    assert "failed, and will again until the cause is mended: 1\n" in printed.err
    assert "3 tasks: 1 done, 1 failed, 1 missing" in printed.out
    assert "SingularSystem" in printed.out
    assert "columns 1" in printed.out
    with (sweep / "all" / "results.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["state"] for row in rows] == ["done", "failed", "missing"]
    assert rows[0]["n_y"] == "64"
    assert rows[2]["solver.linear"] == "superlu"
    assert "singular" in rows[1]["why"]
    record = json.loads((sweep / "all" / "results.json").read_text())["tasks"]
    assert record[0]["metrics"]["solve"]["solver"]
    assert record[1]["error"]["type"] == "SingularSystem"

    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert main(["run", file]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["run", file, "--resume"]) == 12  # the singular one fails again, the others do not
    assert main(["collect", str(sweep / "all")]) == 12
    assert "2 done, 1 failed" in capsys.readouterr().out


def test_a_task_that_has_not_converged_is_done_and_not_repeated(sweep, capsys):
    file, out = str(sweep / "sweep.toml"), sweep / "all"
    damped = '[[task]]\nsystem.hessian = "singular.npz"'
    text = (sweep / "sweep.toml").read_text()
    (sweep / "sweep.toml").write_text(
        text.replace(damped, f'{damped}\nsystem.on_singular = "damp"')
    )
    assert main(["sweep", file, "--task", "0"]) == 0
    assert main(["sweep", file, "--task", "1"]) == 10
    assert "not converged: true residual" in capsys.readouterr().err
    written = (out / "tasks" / "0001" / "x_bar.npy").stat().st_mtime_ns
    assert main(["sweep", file, "--all"]) == 10
    printed = capsys.readouterr()
    assert "0001: done already" in printed.out
    assert "not converged" in printed.err
    assert (out / "tasks" / "0001" / "x_bar.npy").stat().st_mtime_ns == written

    assert main(["collect", str(out)]) == 0
    printed = capsys.readouterr()
    assert "3 tasks: 3 done" in printed.out
    assert "done, but not converged: 1" in printed.err
    with (out / "results.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["converged"] for row in rows] == ["True", "False", "True"]
    assert float(rows[0]["residual"]) <= 1e-8 < 0.1 < float(rows[1]["residual"])
    assert "not converged" in rows[1]["why"]
    assert main(["status", str(out)]) == 0
    assert "0001:  done, not converged  " in capsys.readouterr().out
    assert main(["report", str(out / "tasks" / "0001")]) == 0
    assert ">done, not converged<" in (out / "tasks" / "0001" / "report.html").read_text()


def test_a_dry_run_plans_the_largest_task(sweep, capsys):
    sparse.save_npz(sweep / "singular.npz", sparse.csr_array(laplacian(20, 20, 1.0)))
    assert main(["run", str(sweep / "sweep.toml"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "3 tasks; the largest is 1" in printed
    assert "400 unknowns" in printed
    assert not (sweep / "all").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("solver.linear", "solver.liner", ["task 2 solver.liner", "did you mean 'linear'"]),
        ('"job.toml"', '"jab.toml"', ["line 2", "jab.toml"]),
        ("[[task]]\nsystem.hessian", "[grid]\nsystem.hessian", ["grid.system.hessian", "no list"]),
    ],
)
def test_every_task_is_checked_before_any_is_run(sweep, capsys, old, new, words):
    text = (sweep / "sweep.toml").read_text()
    assert old in text
    (sweep / "sweep.toml").write_text(text.replace(old, new, 1))
    assert main(["sweep", str(sweep / "sweep.toml"), "--task", "0"]) == 2
    err = capsys.readouterr().err
    for word in ["sweep.toml", *words]:
        assert word in err
    assert not (sweep / "all").exists()


def test_collect_of_no_sweep(tmp_path, capsys):
    assert main(["collect", str(tmp_path)]) == 2
    assert "no folder of a sweep" in capsys.readouterr().err


def test_the_templates_share_all_but_their_heads():
    array, job = ((SCRIPTS / f"{name}.sbatch").read_text() for name in ("array", "job"))
    start = "threads="
    assert array[array.index(start) :] == job[job.index(start) :]
    for text in (array, job):
        for line in ("--requeue", "--open-mode=append", "SLURM_CPUS_PER_TASK", "scontrol requeue"):
            assert line in text
