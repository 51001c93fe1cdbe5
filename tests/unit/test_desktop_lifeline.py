"""Speaking to the process of a window."""

from __future__ import annotations

import subprocess
import sys
import threading

from tests.support.waiting import wait_for
from trayconnect.desktop.lifeline import Lifeline

READS_NOTHING = "import sys, time; sys.stdout.close(); time.sleep(600)"


def test_a_window_that_reads_nothing_holds_up_nobody_who_calls_it_forward() -> None:
    process = subprocess.Popen([sys.executable, "-c", READS_NOTHING], stdin=subprocess.PIPE)
    with process:
        line = Lifeline(process)
        question = threading.Thread(target=line.send, args=[b"x" * 10_000_000])
        question.start()
        wait_for(line.is_sending, "a full pipe")
        line.call_forward()  # would wait as long as the question is open
        process.kill()
        question.join()
        line.close()
