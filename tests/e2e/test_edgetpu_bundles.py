"""Bundles with a model for the Edge TPU on a device, with a real external delegate in C."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from green_edge_agent.config import RuntimeConfig
from green_edge_agent.runtime import golden
from green_edge_agent.runtime.contract import Runner
from green_edge_agent.runtime.edgetpu.accelerate import EdgeTpu
from green_edge_agent.runtime.edgetpu.guarded import News
from green_edge_agent.runtime.edgetpu.process import EdgeTpuProcess
from green_edge_agent.runtime.interpreter import load
from green_edge_wire.device import AcceleratorInfo
from green_edge_wire.errors import DeviceError, ModelError
from green_edge_wire.units import NS_PER_S
from support.brokers import wait_until
from support.bundles import tiny_bundle
from support.edgetpu_device import (
    TestDelegate,
    add_pci_edgetpu,
    add_usb_edgetpu,
    edgetpu_bundle,
)
from support.edgetpu_evil_child import make_evil
from support.edgetpu_rig import CLOCK, LONG_S, X, children, on_cpu, opened, wanted


@contextmanager
def device(
    delegate: TestDelegate, root: Path, *, timeout_s: float = LONG_S, mode: str = "auto"
) -> Iterator[tuple[EdgeTpu, list[News]]]:
    news = list[News]()
    settings = RuntimeConfig(
        accelerator=mode,  # type: ignore[arg-type]
        delegate=str(delegate.library),
        timeout_s=timeout_s,
    )
    with closing(EdgeTpu(settings, root, CLOCK, news.append)) as edgetpu:
        yield edgetpu, news


def accelerated(edgetpu: EdgeTpu, data: bytes, *, wait: bool = True) -> Runner:
    bundle = opened(data)
    return edgetpu.over(load(bundle.model()), bundle, wait=wait)


def test_a_bundle_with_a_model_for_it_runs_on_the_edge_tpu(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path) as (edgetpu, news):
        with closing(accelerated(edgetpu, edgetpu_bundle())) as runner:
            assert runner.processor == "edgetpu"
            np.testing.assert_array_equal(runner.timed([X], CLOCK).outputs[0], on_cpu())
            assert edgetpu.info(runner) == AcceleratorInfo("edgetpu:usb:2-1")
        assert [said.processor for said in news] == ["edgetpu"]
        with closing(accelerated(edgetpu, tiny_bundle())) as plain:
            assert plain.processor == "cpu"
            refusal = AcceleratorInfo("edgetpu:usb:2-1", "the bundle has no model for it")
            assert edgetpu.info(plain) == refusal


@pytest.mark.parametrize("word", ["refuse", "crash-prepare", "wrong"])
def test_where_the_edge_tpu_does_not_work_the_cpu_runs_the_model_and_it_is_said(
    delegate: TestDelegate, tmp_path: Path, word: str
) -> None:
    add_usb_edgetpu(tmp_path)
    delegate.behave(word)
    with device(delegate, tmp_path) as (edgetpu, news):
        with closing(accelerated(edgetpu, edgetpu_bundle())) as runner:
            assert runner.processor == "cpu"
            np.testing.assert_array_equal(runner.timed([X], CLOCK).outputs[0], on_cpu())
            (said,) = news
            assert said.message.startswith("the CPU runs tiny version 1, not the Edge TPU: ")
            assert edgetpu.info(runner) == AcceleratorInfo("edgetpu:usb:2-1", said.message)
        if word == "wrong":
            assert "self-test: output 'y' is" in said.message


def test_near_equal_outputs_pass_the_self_test(delegate: TestDelegate, tmp_path: Path) -> None:
    add_usb_edgetpu(tmp_path)
    delegate.behave("near")
    with (
        device(delegate, tmp_path) as (edgetpu, _),
        closing(accelerated(edgetpu, edgetpu_bundle())) as runner,
    ):
        assert runner.processor == "edgetpu"
        with closing(EdgeTpuProcess(wanted(delegate)).start(CLOCK)) as process:
            result = golden.self_test(
                process, opened(edgetpu_bundle()), judge=golden.other_arithmetic
            )
            assert result.worst_steps == 1


def test_without_a_device_the_cpu_runs_the_model_unless_one_is_insisted_on(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    with device(delegate, tmp_path) as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle())
        assert (runner.processor, edgetpu.info(runner)) == ("cpu", None)
        assert "no Edge TPU was found" in news[0].message
    with device(delegate, tmp_path, mode="none") as (edgetpu, news):
        assert accelerated(edgetpu, edgetpu_bundle()).processor == "cpu"
        assert news == []
    with device(delegate, tmp_path, mode="edgetpu") as (edgetpu, news):
        # Not the bundle's fault: it is neither quarantined nor its slot given up.
        for _ in range(2):
            with pytest.raises(ModelError, match="no Edge TPU was found"):
                accelerated(edgetpu, edgetpu_bundle())
        # That the order is tried again and fails again is no news.
        (said,) = news
        assert said.message.startswith("tiny version 1 does not run: ")
        assert said.processor == "none"
        assert accelerated(edgetpu, tiny_bundle()).processor == "cpu"


def test_a_lost_process_costs_one_inference_and_is_started_again(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with (
        device(delegate, tmp_path) as (edgetpu, news),
        closing(accelerated(edgetpu, edgetpu_bundle())) as runner,
    ):
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        with pytest.raises(DeviceError, match="SIGKILL"):
            runner.timed([X], CLOCK)
        wait_until(lambda: runner.processor == "edgetpu")
        assert runner.timed([X], CLOCK).processor == "edgetpu"
        wait_until(lambda: len(news) == 3)
        assert "it is started again" in news[1].message
        assert news[2] == news[0]


def test_lost_twice_within_the_hour_the_cpu_takes_over(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with (
        device(delegate, tmp_path) as (edgetpu, news),
        closing(accelerated(edgetpu, edgetpu_bundle())) as runner,
    ):
        for _ in range(2):
            wait_until(lambda: runner.processor == "edgetpu")
            delegate.behave("crash-invoke")
            with pytest.raises(DeviceError, match="SIGSEGV"):
                runner.timed([X], CLOCK)
            delegate.behave("fine")
        wait_until(lambda: children() == [])
        np.testing.assert_array_equal(runner.timed([X], CLOCK).outputs[0], on_cpu())
        assert runner.processor == "cpu"
        assert news[-1].message.startswith(
            "the CPU runs tiny version 1, not the Edge TPU: it failed again: "
        )
        assert edgetpu.info(runner) == AcceleratorInfo("edgetpu:usb:2-1", news[-1].message)


def test_one_that_cannot_be_started_again_is_given_up_at_once(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with (
        device(delegate, tmp_path) as (edgetpu, news),
        closing(accelerated(edgetpu, edgetpu_bundle())) as runner,
    ):
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        delegate.behave("refuse")
        with pytest.raises(DeviceError, match="SIGKILL"):
            runner.timed([X], CLOCK)
        wait_until(lambda: len(news) == 3)
        assert runner.timed([X], CLOCK).processor == "cpu"
        assert "the delegate does not load" in news[-1].message


def test_a_new_model_borrows_the_device_and_the_one_before_has_it_again_when_it_is_dropped(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path) as (edgetpu, _):
        first = accelerated(edgetpu, edgetpu_bundle(1))
        delegate.behave("crash-prepare")
        refused = accelerated(edgetpu, edgetpu_bundle(2))
        delegate.behave("fine")
        # It is the one that will run, so nothing is started for the one before.
        assert (first.processor, refused.processor) == ("cpu", "cpu")
        assert children() == []
        name = "edgetpu:usb:2-1"
        assert edgetpu.info(first) == AcceleratorInfo(name, "another model is tested on it")
        reason = edgetpu.info(refused)
        assert reason is not None
        assert "the CPU runs tiny version 2, not the Edge TPU: " in (reason.refusal or "")
        # It was not taken after all, as after a newer order.
        refused.close()
        wait_until(lambda: first.processor == "edgetpu")

        second = accelerated(edgetpu, edgetpu_bundle(3))
        assert (first.processor, second.processor) == ("cpu", "edgetpu")
        np.testing.assert_array_equal(first.timed([X], CLOCK).outputs[0], on_cpu())
        assert len(children()) == 1
        second.close()
        wait_until(lambda: first.processor == "edgetpu")
        assert len(children()) == 1
        third = accelerated(edgetpu, edgetpu_bundle(4))
        first.close()
        assert third.timed([X], CLOCK).processor == "edgetpu"
        third.close()
        assert children() == []


def test_a_start_does_not_wait_for_the_edge_tpu_and_the_cpu_answers_meanwhile(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    delegate.behave("hang-create")
    with device(delegate, tmp_path) as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle(), wait=False)
        wait_until(lambda: delegate.hangs)
        assert runner.timed([X], CLOCK).processor == "cpu"
        assert edgetpu.info(runner) == AcceleratorInfo("edgetpu:usb:2-1", "it is being started")
        assert len(children()) == 1
        # To stop does not wait for it either.
        before_ns = CLOCK.monotonic_ns()
        edgetpu.close()
        assert CLOCK.monotonic_ns() - before_ns < 2 * NS_PER_S
        assert children() == []
        assert news == []
    delegate.behave("fine")
    with device(delegate, tmp_path) as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle(), wait=False)
        wait_until(lambda: len(news) == 1)
        assert runner.timed([X], CLOCK).processor == "edgetpu"


def test_an_inference_does_not_wait_for_a_lost_process_that_hangs_in_its_new_start(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path) as (edgetpu, _):
        runner = accelerated(edgetpu, edgetpu_bundle())
        delegate.behave("hang-create")
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(DeviceError, match="SIGKILL"):
            runner.timed([X], CLOCK)
        wait_until(lambda: delegate.hangs)
        assert runner.timed([X], CLOCK).processor == "cpu"


def test_where_it_is_insisted_on_an_inference_without_it_is_an_error_until_it_works(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    with device(delegate, tmp_path, mode="edgetpu") as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle(), wait=False)
        wait_until(lambda: len(news) == 1)
        assert (news[0].processor, runner.processor) == ("none", "none")
        with pytest.raises(DeviceError, match=r"does not run tiny version 1: .* was found on USB"):
            runner.timed([X], CLOCK)
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path, mode="edgetpu") as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle())
        delegate.behave("refuse")
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(DeviceError, match="SIGKILL"):
            runner.timed([X], CLOCK)
        wait_until(lambda: len(news) == 3)
        with pytest.raises(DeviceError, match="does not run tiny version 1"):
            runner.timed([X], CLOCK)
        assert [said.processor for said in news] == ["edgetpu", "none", "none"]


def test_a_module_without_its_driver_does_not_hide_a_stick_that_works(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    add_pci_edgetpu(tmp_path, driver=False)
    with device(delegate, tmp_path) as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle())
        assert edgetpu.info(runner) == AcceleratorInfo("edgetpu:usb:2-1")
        assert news[0].message.startswith("edgetpu:usb:2-1 runs tiny version 1, with ")


def test_a_new_model_that_says_nonsense_gives_the_device_back(
    delegate: TestDelegate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path) as (edgetpu, _):
        first = accelerated(edgetpu, edgetpu_bundle(1))
        with monkeypatch.context() as evil:
            make_evil(tmp_path, evil).write_text("short", encoding="utf-8")
            second = accelerated(edgetpu, edgetpu_bundle(2))
        assert second.processor == "cpu"
        assert children() == []
        second.close()
        wait_until(lambda: first.processor == "edgetpu")


def test_an_agent_that_stops_does_not_wait_for_a_hung_inference(
    delegate: TestDelegate, tmp_path: Path
) -> None:
    add_usb_edgetpu(tmp_path)
    with device(delegate, tmp_path) as (edgetpu, news):
        runner = accelerated(edgetpu, edgetpu_bundle())
        delegate.behave("hang-invoke")
        failed = list[DeviceError]()

        def run() -> None:
            try:
                runner.timed([X], CLOCK)
            except DeviceError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        wait_until(lambda: delegate.hangs)
        runner.close()
        thread.join(30)
        assert len(failed) == 1
        assert children() == []
        assert len(news) == 1  # nothing was started again
