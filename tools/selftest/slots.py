# SPDX-License-Identifier: GPL-2.0
"""Which machines run beside each other."""

import threading


class Slots:
    """Lets machines run while together they do not want too many of the host's
    processors."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.free = capacity
        self.changed = threading.Condition()
        # For whoever came first: else small ones would always pass a big one.
        self.first = threading.Lock()

    def hold(self, processors, work, *args):
        """Waits for room, then works."""
        processors = min(processors, self.capacity)
        with self.first, self.changed:
            self.changed.wait_for(lambda: self.free >= processors)
            self.free -= processors
        try:
            work(*args)
        finally:
            with self.changed:
                self.free += processors
                self.changed.notify_all()
