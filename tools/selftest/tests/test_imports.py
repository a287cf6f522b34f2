# SPDX-License-Identifier: GPL-2.0
"""tools/imports has to refuse what it is for."""

import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "imports"
LOADER = importlib.machinery.SourceFileLoader("imports", str(TOOL))
imports = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("imports", LOADER))
LOADER.exec_module(imports)

FLOORS = {"x/abi": 5, "x/door": 4, "x/state": 1, "x/a": 3, "x/b": 3}


class Imports(unittest.TestCase):
    """Crates of a few lines."""

    def complaints(self, floors=None, **files):
        """What is said of the crate x of these files."""
        return "\n".join(self.crate(**files).complaints(floors or {}))

    def crate(self, **files):
        """The crate x of these files."""
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory) / "x.rs"
            root.write_text("".join(f"mod {name};\n" for name in files
                                    if "__" not in name), encoding="utf-8")
            for name, text in files.items():
                path = root.parent / (name.replace("__", "/") + ".rs")
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return imports.Crate("x", root, ("below",))

    def test_downwards_is_right(self):
        self.assertEqual(self.complaints(
            FLOORS,
            abi="use crate::{\n    door::{\n        self,\n        T, //\n"
                "    }, //\n};\nuse below::y;\nfn f() { door::g(y) }",
            door="use crate::state::S as U;\npub fn g(u: U) {}",
            state="pub struct S;\n#[cfg(test)]\nmod tests {\n"
                  "    use crate::abi;\n}\n// crate::abi\n"), "")

    def test_two_that_import_each_other(self):
        self.assertIn("2 files import each other", self.complaints(
            a="use crate::b::F;\npub struct G;", b="fn f(g: crate::a::G) {}"))

    def test_a_circle_of_three(self):
        self.assertIn("3 files import each other", self.complaints(
            a="use crate::b;\nfn f() {}", b="use super::c::{x, y};\nfn f() {}",
            c="fn f() { crate::a::f() }"))

    def test_by_what_an_index_passes_on(self):
        said = self.complaints(
            a="mod inner;\npub use self::inner::T;",
            a__inner="use crate::b::F;\npub struct T;",
            b="use crate::a::T;\npub struct F;")

        self.assertIn("x/a/inner.rs -> x/b.rs", said)
        self.assertIn("x/b.rs -> x/a/inner.rs", said)

    def test_from_a_higher_floor(self):
        self.assertIn("imports x/door.rs, floor 4", self.complaints(
            FLOORS, state="use crate::door;\nfn f() {}", door="fn g() {}"))

    def test_nobody_imports_what_c_calls(self):
        self.assertIn("imports x/abi.rs, floor 5", self.complaints(
            {**FLOORS, "x/door": 5}, door="use crate::abi;\nfn f() {}",
            abi="fn g() {}"))

    def test_a_file_without_a_floor(self):
        self.assertIn("x/other.rs: not in rust/floors", self.complaints(
            FLOORS, other="fn f() {}"))

    def test_a_crate_that_it_does_not_stand_on(self):
        for code in "use kvm_aia::x;", "use kvm_aia::{a, b};":
            self.assertIn("x/a.rs imports kvm_aia", self.complaints(a=code))

    def test_what_nobody_uses(self):
        crate = self.crate(
            a="pub fn used() {}\npub fn tested() {}\npub const LEFT: u32 = 1;",
            b="use crate::a::{used, LEFT};\nfn f() { used() }\n"
              "#[cfg(test)]\nmod tests {\n    fn t() { tested() }\n}")

        self.assertEqual(list(imports.unused([crate])), [
            "x/a.rs: nobody uses LEFT", "x/a.rs: nobody uses tested"])


if __name__ == "__main__":
    unittest.main()
