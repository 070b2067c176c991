"""A process that sleeps for longer than its switch allows never wakes."""

import signal
import subprocess
import sys
import time

SLEEPER = """
import sys, time
from streams.ingest.dead_man import DeadManSwitch
with DeadManSwitch(float(sys.argv[1])):
    print("awake", flush=True)
    sys.stdin.readline()
print("left", flush=True)
time.sleep(float(sys.argv[1]))
"""


def sleeper(seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "awake\n"
    return process


def test_a_process_that_is_asleep_for_too_long_is_killed_in_its_sleep() -> None:
    process = sleeper(0.5)
    process.send_signal(signal.SIGSTOP)
    assert process.wait(30) == -signal.SIGKILL


def test_a_process_that_is_awake_or_sleeps_for_a_moment_only_goes_on() -> None:
    process = sleeper(3.0)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    process.send_signal(signal.SIGCONT)
    time.sleep(3.5)
    output, _ = process.communicate("\n", timeout=30)
    assert (output, process.returncode) == ("left\n", 0)
