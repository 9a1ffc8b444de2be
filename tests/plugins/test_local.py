"""Room for runs: cores, fractions of GPUs, memory."""

from __future__ import annotations

import pytest

from ringfence.errors import BadOption
from ringfence.jobs import Job, Resources
from ringfence_local import Local
from ringfence_local.slots import Slots, physical_memory


def test_cores_are_given_out_and_taken_back():
    slots = Slots(4, [], 8.0)
    first, second = (slots.take(Resources(cpus=2)) for _ in range(2))

    assert slots.take(Resources(cpus=1)) is None
    slots.give_back(first)
    assert slots.take(Resources(cpus=2)) == second


def test_memory_is_given_out_and_taken_back_however_many_cores_there_are():
    slots = Slots(9, [], 1.0, 9)
    first, second, third = (slots.take(Resources(memory=0.5)) for _ in range(3))

    assert (first.memory, second.memory, third) == (0.5, 0.5, None)
    slots.give_back(first)
    assert slots.take(Resources(memory=0.6)) is None
    assert slots.take(Resources(memory=0.5)) == second


def test_a_machine_tells_its_memory():
    assert 0.1 < physical_memory() < 1e5


def test_a_number_of_jobs_counts_instead_of_cores():
    slots = Slots(1, [], 8.0, 3)
    places = [slots.take(Resources(cpus=8)) for _ in range(4)]

    assert [place is None for place in places] == [False, False, False, True]


def test_fractions_share_a_gpu_and_leave_whole_ones_whole():
    slots = Slots(9, [1.0, 1.0], 8.0)
    devices = [slots.take(Resources(gpus=gpus)).device for gpus in (0.5, 0.5, 1.0)]

    assert devices == ["0", "0", "1"]
    assert slots.take(Resources(gpus=0.1)) is None


def test_three_thirds_are_a_whole():
    slots = Slots(9, [1.0], 8.0)
    places = [slots.take(Resources(gpus=1 / 3)) for _ in range(3)]

    assert all(places)
    for place in places:
        slots.give_back(place)
    assert slots.take(Resources(gpus=1)).device == "0"


def test_a_run_may_need_several_gpus():
    slots = Slots(9, [1.0, 0.5, 1.0], 8.0)

    assert slots.take(Resources(gpus=2)).device == "0,2"


def test_a_run_without_a_gpu_sees_what_there_is():
    assert Slots(1, [1.0], 8.0).take(Resources()).device is None


@pytest.mark.parametrize(
    ("need", "fits"),
    [
        (Resources(cpus=2), True),
        (Resources(cpus=3), False),
        (Resources(gpus=0.5), True),
        (Resources(gpus=2), True),
        (Resources(gpus=3), False),
        (Resources(memory=8), True),
        (Resources(memory=8.5), False),
    ],
)
def test_what_can_never_be_placed_is_known(need, fits):
    assert Slots(2, [1.0, 1.0], 8.0).could_hold(need) is fits


def test_a_job_that_can_never_be_placed_is_refused_with_the_reason(tmp_path):
    executor = Local(cpus=1, gpus=0, memory=2)
    with pytest.raises(BadOption, match=r"1 cores and 2 GPUs; this machine offers 1 cores, 0 GPUs"):
        executor.submit(Job("it", {}, tmp_path, Resources(gpus=2)))
