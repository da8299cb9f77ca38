"""The parent's side of a converter child, against children that misbehave in every known way."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from green_edge.convert.converters import Converters
from green_edge.convert.protocol import QuantizeFloat, Reply
from green_edge.convert.worker import Worker, child_environment, part_of, tail
from green_edge_wire.errors import GreenEdgeError, ModelError
from support.brokers import wait_until
from support.clock import ManualClock

ANSWER = "import sys\nfor line in sys.stdin: {}\n"


def worker(folder: Path, program: str, timeout_s: float = 20.0) -> Worker:
    return Worker(folder, timeout_s=timeout_s, command=(sys.executable, "-c", program))


def request(folder: Path) -> QuantizeFloat:
    return QuantizeFloat(folder / "in.tflite", folder / "samples.npz", ("x",), folder / "out")


def test_a_child_that_answers_serves_one_request_after_another(tmp_path: Path) -> None:
    program = ANSWER.format("print('{}', flush=True)")
    with worker(tmp_path, program) as child:
        child.ask(request(tmp_path))
        child.ask(request(tmp_path))


def test_a_refusal_of_the_child_keeps_its_remedy(tmp_path: Path) -> None:
    answer = """print('{"error":"no such layer","hint":"use another"}', flush=True)"""
    with worker(tmp_path, ANSWER.format(answer)) as child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    assert str(caught.value) == "no such layer; use another"


def test_what_a_child_says_before_its_answer_is_told(tmp_path: Path) -> None:
    said = [
        """print('{"doing":"training, epoch 1"}')""",
        """print('{"doing":"training, epoch 2","share":0.5}', flush=True)""",
        """print('{"done":["all"]}', flush=True)""",
    ]
    heard: list[tuple[str, float | None]] = []

    def tell(doing: str, share: float | None = None) -> None:
        heard.append((doing, share))

    with worker(tmp_path, ANSWER.format("; ".join(said))) as child:
        assert child.converse(request(tmp_path), Reply, tell).done == ("all",)
        assert child.converse(request(tmp_path), Reply, tell).done == ("all",)
    assert heard == 2 * [("training, epoch 1", None), ("training, epoch 2", 0.5)]


def test_a_sign_of_life_puts_the_deadline_off(tmp_path: Path) -> None:
    """Told of the sign the parent lets the time pass; only then the child goes on."""
    go = tmp_path / "go"
    program = (
        "import pathlib, sys, time\nsys.stdin.readline()\n"
        """print('{"doing":"training"}', flush=True)\n"""
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        "print('{}', flush=True)"
    )
    clock = ManualClock()

    def tell(doing: str, share: float | None = None) -> None:
        assert (doing, share) == ("training", None)
        clock.advance_s(19.0)
        go.touch()

    command = (sys.executable, "-c", program)
    with Worker(tmp_path, timeout_s=20.0, command=command, clock=clock) as child:
        clock.advance_s(19.0)
        child.converse(request(tmp_path), Reply, tell)


def test_what_is_left_of_a_folder_that_a_child_was_making_is_removed(tmp_path: Path) -> None:
    part = part_of(request(tmp_path).out)
    part.mkdir()
    (part / "model.keras").touch()
    program = ANSWER.format("raise MemoryError('Unable to allocate 9 GiB')")
    with worker(tmp_path, program) as child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    assert not part.exists()
    assert "memory ran out" in str(caught.value.hint)


def test_a_child_is_told_of_under_its_own_name_and_has_its_own_settings(tmp_path: Path) -> None:
    program = "import os, sys; sys.exit(int(os.environ['TF_ENABLE_ONEDNN_OPTS']) + 6)"
    child = Worker(
        tmp_path, timeout_s=20.0, command=(sys.executable, "-c", program), name="compressor",
        settings={"TF_ENABLE_ONEDNN_OPTS": "1"},
    )  # fmt: skip
    with child, pytest.raises(ModelError, match=r"the compressor failed \(exit code 7\)"):
        child.ask(request(tmp_path))


def test_a_crash_is_one_line_with_the_signal_and_the_last_words(tmp_path: Path) -> None:
    program = (
        "import os,signal,sys\n"
        "print('loc: callsite: op has no shape', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    with worker(tmp_path, program) as child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    message = str(caught.value)
    assert "crashed (SIGSEGV) in step 'quantize'" in message
    assert "it printed: loc: callsite: op has no shape" in message
    assert "\n" not in message


def test_a_kill_for_want_of_memory_says_what_to_do(tmp_path: Path) -> None:
    program = "import os,signal; os.kill(os.getpid(), signal.SIGKILL)"
    with worker(tmp_path, program) as child, pytest.raises(ModelError, match="SIGKILL") as caught:
        child.ask(request(tmp_path))
    assert "memory" in str(caught.value.hint)


def test_an_exception_shows_its_name_and_message_and_not_its_traceback(tmp_path: Path) -> None:
    program = ANSWER.format("raise ValueError('/tmp/deep/in/model.tflite has 3 axes')")
    with worker(tmp_path, program) as child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    assert "it printed: ValueError: model.tflite has 3 axes" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_child_that_hangs_is_stopped_at_the_deadline_and_its_half_file_removed(
    tmp_path: Path,
) -> None:
    part = part_of(request(tmp_path).out)
    part.write_bytes(b"half")
    with worker(tmp_path, "import time; time.sleep(60)", timeout_s=0.3) as child:
        with pytest.raises(ModelError, match=r"stopped after 0\.3 s in step 'quantize'") as caught:
            child.ask(request(tmp_path))
        assert caught.value.hint == "give it longer with --timeout S"
    assert not part.exists()


def test_a_deadline_that_has_passed_is_noticed_without_waiting(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    child = Worker(tmp_path, timeout_s=0.0, command=command, clock=ManualClock())
    with child, pytest.raises(ModelError, match="stopped after 0 s"):
        child.ask(request(tmp_path))


def test_a_worker_whose_child_died_starts_another(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = (
        f"import pathlib,sys\nseen = pathlib.Path({str(seen)!r})\n"
        "if not seen.exists():\n    seen.touch(); sys.exit(3)\n"
        "for line in sys.stdin: print('{}', flush=True)\n"
    )
    with worker(tmp_path, program) as child:
        with pytest.raises(ModelError, match="exit code 3"):
            child.ask(request(tmp_path))
        child.ask(request(tmp_path))


def test_the_environment_of_a_child_is_quiet_and_free_of_legacy_keras() -> None:
    made = child_environment({"TF_USE_LEGACY_KERAS": "1", "HOME": "/home/x"})
    assert "TF_USE_LEGACY_KERAS" not in made
    assert made["HOME"] == "/home/x"
    assert made["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_the_tail_of_a_log_is_the_exception_or_the_last_lines() -> None:
    assert tail("") == ""
    assert tail("one\n\ntwo\nthree\nfour\n") == "; it printed: two | three | four"
    log = "Traceback\n  File x\nkeras.errors.LayerError: bad layer\n  at a\n  at b\n  at c\n"
    assert tail(log) == "; it printed: keras.errors.LayerError: bad layer | at a | at b"
    assert len(tail("RuntimeError: " + "x" * 5000)) < 500
    chatter = "I0000 00:00:17.4 22404 stub.cc:31] no GPU\nWARNING: All log messages before absl::\n"
    assert tail(f"loc: bad op\n{chatter}") == "; it printed: loc: bad op"
    assert tail(chatter) == ""


def test_the_tail_of_a_log_is_the_same_on_every_run() -> None:
    def log(time: str, process: int, address: str, name: str) -> str:
        return (
            f"E0000 00:00:{time} {process:>7} quantize.cc:31] no range at {address}\n"
            f"F1123 18:20:{time}   {process} graph.cc:7] cannot read /tmp/{name}/saved/tmp{name}\n"
        )

    one = tail(log("1795458055.519171", 11708, "0x7f3a91b2", "ab12_cd3"))
    other = tail(log("1795459999.000001", 907, "0x55d0", "zz98xy_1"))
    assert one == other
    assert one == "; it printed: quantize.cc:31] no range at 0x | graph.cc:7] cannot read tmp"


def test_a_refusal_of_the_child_tells_no_address(tmp_path: Path) -> None:
    answer = """print('{"error":"cannot call <Layer at 0x7f3a91b2>"}', flush=True)"""
    with worker(tmp_path, ANSWER.format(answer)) as child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    assert str(caught.value) == "cannot call <Layer at 0x>"


def test_a_child_dies_with_its_parent_even_while_it_works(tmp_path: Path) -> None:
    """An idle child ends with its standard input; one that converts does not look at it."""
    busy = "from green_edge.convert import child; child.end_with_parent(); print(flush=True)\n"
    busy += "import time; time.sleep(60)"
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {busy!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        status = Path("/proc", process.stdout.readline().decode().strip(), "status")
        assert status.exists()
        process.kill()
    # One that is dead and not yet waited for is still listed.
    wait_until(lambda: not status.exists() or "State:\tZ" in status.read_text())


@pytest.mark.root
def test_a_failure_on_a_full_disk_says_so(tmp_path: Path) -> None:
    mounted = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(tmp_path)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here: run as root with CAP_SYS_ADMIN")
    try:
        child = worker(tmp_path, "import sys; sys.exit(1)")
        with child, pytest.raises(ModelError) as caught:
            child.ask(request(tmp_path))
        assert "full: make room, or set TMPDIR to another" in str(caught.value)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_child_that_finds_no_room_says_where_to_look(tmp_path: Path) -> None:
    child = worker(tmp_path, "import errno, os; raise OSError(28, os.strerror(errno.ENOSPC))")
    with child, pytest.raises(ModelError) as caught:
        child.ask(request(tmp_path))
    assert caught.value.hint is not None
    assert "make room, or set GREEN_EDGE_CACHE or TMPDIR" in caught.value.hint


def test_samples_that_do_not_fit_on_the_disk_are_one_line(tmp_path: Path) -> None:
    # What a full disk gives as ENOSPC this gives as EFBIG, without root.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Converters(tmp_path, timeout_s=1.0) as converters:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(GreenEdgeError, match=r"cannot write in .*; make room there"):
                converters.quantize(bytes(5000), ["x"], [])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
