"""Use one device, with as many threads as asked, in the same way every time."""

from __future__ import annotations

import os

import torch

from ringfence.errors import BadDevice


def use(device: str, threads: int | None = None) -> None:
    """Prepare ``device``; raise if it is not there. Deterministic kernels where there are any."""
    _refuse_absent(device)
    if threads:
        torch.set_num_threads(threads)
    if torch.device(device).type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may vary
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def _refuse_absent(device: str) -> None:
    try:
        kind, index = torch.device(device).type, torch.device(device).index or 0
    except RuntimeError as error:
        raise BadDevice(
            f"{device!r} is no device. Use cpu, cuda or cuda:N.", option="device"
        ) from error
    if kind not in ("cpu", "cuda"):
        raise BadDevice(f"Device {device!r} is not supported. Use cpu or cuda.", option="device")
    there = torch.cuda.device_count() if kind == "cuda" else 1
    if index >= there:
        known = ", ".join(["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))])
        raise BadDevice(f"There is no device {device!r} here. Known: {known}.", option="device")
