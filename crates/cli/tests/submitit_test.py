"""The Python package submitit, as published, against our Slurm commands: what it does must work without a change.

Called with a folder to work in; the commands are first on PATH. Prints one line for each thing that worked.
"""

import subprocess
import sys
import time
from pathlib import Path

import submitit
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.helpers import DelayedSubmission
from submitit.slurm.slurm import SlurmExecutor


def executor(folder, **parameters):
    found = SlurmExecutor(folder=folder / "logs-%j")
    found.update_parameters(time=5, job_name="submitit-test", **parameters)
    return found


def soon(what, limit=60):
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "not in time: " + subprocess.getoutput("sacct -P -o JobID,State,ExitCode,NodeList")
        time.sleep(0.1)


def state(job):
    return job.get_info(mode="force").get("State", "")


def submit(folder):
    job = executor(folder).submit(lambda a, b: a + b, 3, 4)
    assert job.result() == 7
    soon(lambda: state(job) == "COMPLETED")
    assert job.done() and job.exception() is None


def where_it_runs(folder):
    def place():
        env = submitit.JobEnvironment()
        return (env.global_rank, env.local_rank, env.node, env.num_tasks, env.num_nodes, tuple(env.hostnames))

    job = executor(folder, nodes=2, ntasks_per_node=2, gpus_per_node=2, mem="1GB").submit(place)
    results = job.results()
    assert [result[0] for result in results] == [0, 1, 2, 3], results
    assert [result[1] for result in results] == [0, 1, 0, 1], results
    assert [result[2] for result in results] == [0, 0, 1, 1], results
    assert all(result[3:5] == (4, 2) and len(result[5]) == 2 for result in results), results


def map_array(folder):
    jobs = executor(folder, array_parallelism=2).map_array(lambda x: x * x, range(6))
    assert [job.result() for job in jobs] == [0, 1, 4, 9, 16, 25]
    assert {job.job_id.split("_")[1] for job in jobs} == set("012345")


def cancel(folder):
    job = executor(folder).submit(time.sleep, 120)
    soon(lambda: state(job) == "RUNNING")
    job.cancel()
    soon(lambda: state(job).startswith("CANCELLED"))
    try:
        job.result()
    except UncompletedJobError:
        return
    raise AssertionError("a cancelled job has no result")


def failure(folder):
    def fails():
        raise ValueError("the reason of it all")

    job = executor(folder).submit(fails)
    try:
        job.result()
    except FailedJobError as error:
        assert "the reason of it all" in str(error) and "ValueError" in str(error), error
    else:
        raise AssertionError("it failed")
    soon(lambda: state(job) == "FAILED")


class Counts:
    """Counts up, is stopped by the time-out, goes on from its checkpoint in a second run."""

    def __init__(self, mark):
        self.mark, self.count, self.runs = mark, 0, 0

    def __call__(self):
        self.runs += 1
        while self.count < 10 or self.runs < 2:
            self.count += 1
            Path(self.mark).write_text(str(self.count))
            time.sleep(0.1)
        return self.count, self.runs

    def checkpoint(self):
        return DelayedSubmission(self)


def timeout_and_requeue(folder):
    mark = folder / "count"
    job = executor(folder, signal_delay_s=60).submit(Counts(str(mark)))
    soon(lambda: mark.exists() and int(mark.read_text() or 0) >= 10)
    job._interrupt(timeout=True)
    count, runs = job.result()
    assert count >= 10 and runs == 2, (count, runs)
    soon(lambda: state(job) == "COMPLETED")


def main():
    folder = Path(sys.argv[1])
    for part in [submit, where_it_runs, map_array, failure, cancel, timeout_and_requeue]:
        begin = time.monotonic()
        part(folder)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
