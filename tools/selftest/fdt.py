# SPDX-License-Identifier: GPL-2.0
"""Flattened device trees: read, change, write. Only what the tests need."""

import struct

_MAGIC = 0xD00DFEED
_BEGIN, _END, _PROP, _NOP, _STOP = 1, 2, 3, 4, 9


def cells(*values):
    """Property data of 32-bit cells."""
    return struct.pack(f">{len(values)}I", *values)


class Node:
    """A node: its properties as bytes, its children by name."""

    def __init__(self, name):
        self.name = name
        self.props = {}
        self.children = {}

    def get(self, prop):
        """A property as a list of cells."""
        data = self.props[prop]
        return list(struct.unpack(f">{len(data) // 4}I", data))

    def set(self, prop, *values):
        """Makes a property of cells."""
        self.props[prop] = cells(*values)

    def remove(self, prop):
        """Takes a property away; it is there, or the test makes no sense."""
        del self.props[prop]

    def copy(self, name):
        """The node and all below it, under another name."""
        other = Node(name)
        other.props = dict(self.props)
        other.children = {n: c.copy(n) for n, c in self.children.items()}
        return other


class Tree:
    """A whole device tree."""

    def __init__(self, blob):
        head = struct.unpack(">10I", blob[:40])
        if head[0] != _MAGIC:
            raise ValueError("no device tree")
        self._structure, self._strings, reserved = head[2], head[3], head[4]
        self._blob = blob
        self._boot_cpu = head[7]
        end = reserved
        while struct.unpack(">QQ", blob[end:end + 16]) != (0, 0):
            end += 16
        self._reserved = blob[reserved:end + 16]
        self._at = self._structure
        if self._word() != _BEGIN:
            raise ValueError("no root node")
        self.root = self._node()

    def __getitem__(self, path):
        node = self.root
        for name in path.strip("/").split("/"):
            node = node.children[name]
        return node

    def _word(self):
        word, = struct.unpack(">I", self._blob[self._at:self._at + 4])
        self._at += 4
        return word

    def _text(self, at):
        return self._blob[at:self._blob.index(b"\0", at)].decode()

    def _node(self):
        name = self._text(self._at)
        self._at += (len(name) + 4) & ~3
        node = Node(name)
        while True:
            token = self._word()
            if token == _PROP:
                size, offset = self._word(), self._word()
                node.props[self._text(self._strings + offset)] = (
                    self._blob[self._at:self._at + size])
                self._at += (size + 3) & ~3
            elif token == _BEGIN:
                child = self._node()
                node.children[child.name] = child
            elif token == _END:
                return node
            elif token != _NOP:
                raise ValueError("broken device tree")

    def blob(self):
        """The tree as a file's content."""
        strings = {}
        names = bytearray()
        out = bytearray()

        def pad(data):
            return data + b"\0" * (-len(data) % 4)

        def write(node):
            out.extend(cells(_BEGIN) + pad(node.name.encode() + b"\0"))
            for prop, data in node.props.items():
                if prop not in strings:
                    strings[prop] = len(names)
                    names.extend(prop.encode() + b"\0")
                out.extend(cells(_PROP, len(data), strings[prop]))
                out.extend(pad(data))
            for child in node.children.values():
                write(child)
            out.extend(cells(_END))

        write(self.root)
        out.extend(cells(_STOP))
        structure = 40 + len(self._reserved)
        text = structure + len(out)
        head = cells(_MAGIC, text + len(names), structure, text, 40, 17, 16,
                     self._boot_cpu, len(names), len(out))
        return bytes(head + self._reserved + out + names)
