"""How many processors may be used: no more than the group's quota pays for."""

import os
import threading

import pytest
from catdog import machine as ours


def test_what_has_not_begun_when_somebody_interrupts_never_does():
    done, release = [], threading.Event()

    def interrupted():
        with ours.thread_pool(2) as pool:
            for number in range(100):
                pool.submit(lambda number=number: (release.wait(30), done.append(number)))
            threading.Timer(0.1, release.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(done) <= 2


V2, V1 = "0::/work/inner\n", "4:cpu,cpuacct:/work/inner\n2:memory:/work\n"


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """groups(membership, {file: content}): processors() in such groups, on a machine of eight processors."""

    def found(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / "fs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return ours.processors()

    monkeypatch.setattr(ours, "_GROUPS", tmp_path / "fs")
    monkeypatch.setattr(ours, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    return found


@pytest.mark.parametrize(
    ("quota", "most"),
    [
        ("100000 100000", 1),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("max 100000", 8),
        ("", 8),
    ],
)
def test_of_version_2_anywhere_up_the_tree(groups, quota, most):
    assert groups(V2, {"cpu.max": "max 100000\n", "work/cpu.max": quota + "\n"}) == most


@pytest.mark.parametrize(("quota", "most"), [("200000", 2), ("-1", 8), ("rubbish", 8)])
def test_of_version_1(groups, quota, most):
    files = {"cfs_quota_us": quota, "cfs_period_us": "100000"}
    assert groups(V1, {f"cpu/work/inner/cpu.{name}": f"{text}\n" for name, text in files.items()}) == most


def test_where_there_are_no_groups(groups):
    assert groups("", {}) == 8
    ours._MEMBERSHIP.unlink()
    assert ours.processors() == 8
