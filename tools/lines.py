# SPDX-License-Identifier: GPL-2.0
"""What the tools that are written in Python say, and how."""

import argparse
import os
import sys


def report(line):
    """A result, for who looks and for AIA_RESULTS."""
    with open(os.environ.get("AIA_RESULTS", os.devnull), "a",
              encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def info(text):
    """A line of progress."""
    print(f":: {text}", file=sys.stderr, flush=True)


class Usage(argparse.ArgumentParser):
    """Explains a tool by what the comment at its top says."""

    def __init__(self, text):
        super().__init__()
        self.text = text

    def error(self, message):
        print(self.text, end="", file=sys.stderr)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)

    def print_help(self, file=None):
        print(self.text, end="", file=file)
