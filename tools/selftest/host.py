# SPDX-License-Identifier: GPL-2.0
"""What a test asks the host to do: lines "# host: ACTION [ARG...]".

    pulse LINE COUNT [GAP_US]  raise and lower a wire of the root APLIC, COUNT
                               times, with GAP_US microseconds between two
                               A single pulse is held long enough for a guest
                               to see a level; many are as short as can be.
    line LINE 0|1              set a wire of the root APLIC ("level" too)
    hammer LINE GAP_US         raise and lower a wire all the time, until:
    hammered                   that is enough; fails if it did not go on so far
    sleep MILLISECONDS         let the guest run
    later MILLISECONDS ACTION  an action after that time
    quit                       end the machine
"""

import json
import re
import socket
import threading
import time


# In direct mode a level that is gone is not pending any more.
HOLD = 0.005


class HostError(Exception):
    """An action that could not be done."""


class _Lines:
    """A line protocol on a unix socket that QEMU opens after its start."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        for attempt in range(100):
            try:
                self.sock.connect(path)
                break
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.05)
        self.file = self.sock.makefile("rw", encoding="utf-8", newline="\n")

    def send(self, line):
        self.file.write(line + "\n")
        self.file.flush()

    def receive(self):
        line = self.file.readline()
        if not line:
            raise HostError("QEMU closed the connection")
        return line.strip()

    def close(self):
        try:
            self.file.close()
        except OSError:
            # The machine is off, and something was not sent yet.
            pass
        self.sock.close()


class Host:
    """The host's side of a running machine."""

    def __init__(self, qmp_path, qtest_path):
        self.qmp_path = qmp_path
        self.qtest_path = qtest_path
        self.qmp = None
        self.qtest = None
        self.aplic = None
        # The end of QEMU that raises wires has one answer for each line.
        self.lock = threading.Lock()
        self.hammering = None
        self.enough = threading.Event()
        self.pulses = 0

    def close(self):
        self._stop()
        for end in (self.qmp, self.qtest):
            if end:
                end.close()

    def do(self, words):
        """One action; returns nothing, raises HostError."""
        try:
            action = getattr(self, "do_" + words[0])
        except (AttributeError, IndexError):
            raise HostError(f"unknown action {' '.join(words)!r}") from None
        try:
            action(*words[1:])
        except (TypeError, ValueError, OSError) as e:
            raise HostError(f"{' '.join(words)}: {e}") from None

    def do_pulse(self, line, count, gap="0"):
        for _ in range(int(count)):
            self._wire(int(line), 1)
            if int(count) == 1:
                time.sleep(HOLD)
            self._wire(int(line), 0)
            if int(gap):
                time.sleep(int(gap) / 1e6)

    def do_line(self, line, level):
        self._wire(int(line), int(level))

    do_level = do_line

    def do_hammer(self, line, gap):
        if self.hammering:
            raise HostError("there is a hammer already")
        self.hammering = threading.Thread(
            target=self._hammer, args=(int(line), int(gap) / 1e6))
        self.pulses = 0
        self.enough.clear()
        self.hammering.start()

    def _hammer(self, line, gap):
        try:
            while not self.enough.wait(gap):
                self._wire(line, 1)
                self._wire(line, 0)
                self.pulses += 1
        except (HostError, OSError, ValueError):
            # The machine has gone, or "hammered" finds out.
            self.pulses = 0

    def _stop(self):
        self.enough.set()
        if self.hammering:
            self.hammering.join()
        self.hammering = None

    def do_hammered(self):
        if not self.hammering:
            raise HostError("nothing was hammered")
        was_alive = self.hammering.is_alive()
        self._stop()
        if not was_alive or not self.pulses:
            raise HostError("the hammer has come to its end by itself")

    def do_sleep(self, milliseconds):
        time.sleep(int(milliseconds) / 1000)

    def do_later(self, milliseconds, *words):
        self.do_sleep(milliseconds)
        self.do(words)

    def do_quit(self):
        self._execute("quit")

    def _execute(self, command, **arguments):
        if not self.qmp:
            self.qmp = _Lines(self.qmp_path)
            self.qmp.receive()
            self._execute("qmp_capabilities")
        self.qmp.send(json.dumps({"execute": command,
                                  "arguments": arguments}))
        while True:
            answer = json.loads(self.qmp.receive())
            if "error" in answer:
                raise HostError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def _find_aplic(self):
        """The APLIC that devices are wired to: the first for S-mode.

        The machine has one for M-mode in front of it, which delegates all
        its sources, so the wires are those of the first one found.
        """
        def number(entry):
            digits = re.findall(r"\d+", entry["name"])
            return [int(d) for d in digits]

        for parent in ("/machine/unattached", "/machine"):
            aplics = [e for e in self._execute("qom-list", path=parent)
                      if e["type"] == "child<riscv.aplic>"]
            if aplics:
                return parent + "/" + min(aplics, key=number)["name"]
        raise HostError("this machine has no APLIC")

    def _wire(self, line, level):
        with self.lock:
            self._set_wire(line, level)

    def _set_wire(self, line, level):
        if not self.aplic:
            self.aplic = self._find_aplic()
        if not self.qtest:
            self.qtest = _Lines(self.qtest_path)
        self.qtest.send(
            f"set_irq_in {self.aplic} unnamed-gpio-in {line} {level}")
        while True:
            answer = self.qtest.receive()
            # Interrupts that the machine raises are reported as "IRQ ...".
            if answer.startswith("IRQ "):
                continue
            if not answer.startswith("OK"):
                raise HostError(f"qtest: {answer}")
            return
