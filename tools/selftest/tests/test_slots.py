# SPDX-License-Identifier: GPL-2.0
"""Who runs beside whom."""

import threading
import unittest

from slots import Slots

PATIENCE = 10


class Order(unittest.TestCase):
    def setUp(self):
        self.slots = Slots(2)
        self.began = []
        self.threads = []

    def start(self, name, processors):
        """Returns what ends it."""
        end = threading.Event()

        def work():
            self.began.append(name)
            end.wait(PATIENCE)

        thread = threading.Thread(target=self.slots.hold,
                                  args=(processors, work))
        thread.start()
        self.threads.append(thread)
        return end

    def until(self, condition):
        for _ in range(1000):
            if condition():
                return
            threading.Event().wait(PATIENCE / 1000)
        self.fail(f"waited in vain; began: {self.began}")

    def test_small_ones_do_not_pass_a_big_one(self):
        ends = [self.start("small", 1)]
        self.until(lambda: self.began == ["small"])
        ends.append(self.start("big", 3))
        self.until(self.slots.first.locked)
        ends.append(self.start("late", 1))
        self.assertEqual(self.began, ["small"])
        ends[0].set()
        self.until(lambda: self.began == ["small", "big"])
        ends[1].set()
        self.until(lambda: self.began == ["small", "big", "late"])
        ends[2].set()
        for thread in self.threads:
            thread.join(PATIENCE)

    def test_two_small_ones_run_together(self):
        ends = [self.start("one", 1), self.start("other", 1)]
        self.until(lambda: sorted(self.began) == ["one", "other"])
        for end in ends:
            end.set()
        for thread in self.threads:
            thread.join(PATIENCE)
