#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/verification.md against what is there: every rule has a line, and what a line names exists and is about the rule."""

import ast
import pathlib
import re
import unittest

import environment

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULE = re.compile(r"\b([PITSH])(\d+)(?:(?: to |\.\.)[PITSH](\d+))?\b")


def cited(text):
    """The rules that a text names: `P3`, `P3 to P12`, `P14..P18`."""
    return {f"{letter}{number}" for letter, first, last in RULE.findall(text)
            for number in range(int(first), int(last or first) + 1)}


def table(document, columns):
    """The rows of the tables with so many columns, headers and rules between them left out."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")]
            for line in (ROOT / document).read_text().splitlines() if line.startswith("| ")]
    return [row for row in rows if len(row) == columns and set(row[0]) - set("-|")]


def names_in(file):
    """The names of a file's tests. In Python they are what the tests say of themselves."""
    text = file.read_text()
    if file.suffix == ".py":
        functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
        return [" ".join((ast.get_docstring(f) or "").split()) for f in functions if f.name.startswith("test")]
    macros = re.findall(r'\b(?:TEMPLATE_)?TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text)
    return ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', macro)) for macro in macros]


def all_names():
    files = [*ROOT.glob("tests/*_test.cpp"), *ROOT.glob("tests/*_test.py")]
    return {file.stem: names_in(file) for file in files if file.name != pathlib.Path(__file__).name}


class Verification(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rules = re.findall(r"^- ([PITSH]\d+)\. ", (ROOT / "docs/behaviour.md").read_text(), re.MULTILINE)
        cls.rows = {row[0]: row[1:] for row in table("docs/verification.md", 6) if row[0] != "rule"}
        cls.tests = all_names()
        cls.built = (ROOT / "tests/CMakeLists.txt").read_text()

    def test_every_rule_has_one_line(self):
        self.assertEqual(len(self.rules), 48)
        self.assertEqual(list(self.rows), self.rules)
        lines = re.findall(r"^\| ([PITSH]\d+) \|", (ROOT / "docs/verification.md").read_text(), re.MULTILINE)
        self.assertEqual(lines, self.rules)

    def test_every_rule_is_cited_by_the_name_of_a_test(self):
        seen = {rule for names in self.tests.values() for name in names for rule in cited(name)}
        self.assertEqual([rule for rule in self.rules if rule not in seen], [])
        self.assertEqual(sorted(seen - set(self.rules)), [], "names of tests cite rules that there are not")
        labels = {label[0] for names in self.tests.values() for name in names if (label := re.match(r"[A-Z]\d+\b", name))}
        self.assertEqual(sorted(labels - set(self.rules)), [], "names of tests begin with what is no rule")

    def test_the_tests_of_a_line_exist_and_cite_its_rule(self):
        for rule, (_, _, _, tests, _) in self.rows.items():
            found = re.findall(r'`(\w+_test)`(?: "([^"]*)")?', tests)
            with self.subTest(rule):
                self.assertTrue(found)
                self.assertEqual(len(re.findall("`", tests)), 2 * len(found), "something else than a test is named")
                self.assertTrue(any(name for _, name in found), "no test is named by its sentence")
                for file, name in found:
                    self.assertIn(file, self.tests, "there is no such file")
                    about = [test for test in self.tests[file] if rule in cited(test)]
                    self.assertTrue(about, f"no test of {file} cites {rule}")
                    self.assertTrue(any(name in test for test in about), f"{file} has no such test of {rule}: {name}")
                citing = sorted(file for file, names in self.tests.items() if any(rule in cited(name) for name in names))
                self.assertEqual(sorted(file for file, _ in found), citing, "the line names others than cite the rule")

    def test_every_file_of_tests_is_built_or_run(self):
        named = set(re.findall(r"\b(?:unit|system)_test\((\w+)", self.built))
        named |= {file for file in self.tests if f"/{file}.py" in self.built}
        for words in re.findall(r"foreach\(name ([^)]*)\)\n +stage_test\(", self.built):
            named |= {f"{stage}_test" for stage in words.split()}
        named |= {f"{name}_test" for name in re.findall(r"\bpython_test\((\w+)", self.built)}
        for words in re.findall(r"foreach\(name ([^)]*)\)\n +python_test\(", self.built):
            named |= {f"{name}_test" for name in words.split()}
        self.assertEqual(sorted(set(self.tests) - named), [], "tests/CMakeLists.txt has lost these")

    def check_column(self, column, document, columns, what):
        """That a line names what the document's table says of its rule: all, or some `and N more`."""
        known = {row[0].strip("`"): cited(row[1]) for row in table(document, columns) if row[0] not in ("proof", "point")}
        self.assertTrue(known)
        for rule, cells in self.rows.items():
            named = re.findall(r"`(\w+)`", cells[column])
            more = re.search(r" and (\d+) more$", cells[column])
            about = [name for name, rules in known.items() if rule in rules]
            with self.subTest(rule):
                self.assertEqual([name for name in named if name not in known], [], f"there is no such {what}")
                self.assertEqual([name for name in named if name not in about], [], f"a {what} is not about the rule")
                self.assertEqual(len(set(named)) + int(more[1] if more else 0), len(about),
                                 f"{document} has these: {', '.join(about)}")

    def test_the_proofs_of_a_line_are_those_of_its_rule(self):
        self.check_column(1, "docs/proofs.md", 6, "proof")

    def test_the_cover_points_of_a_line_are_those_of_its_rule(self):
        self.check_column(2, "docs/coverage.md", 3, "cover point")

    def test_the_fuzz_targets_of_a_line_exist_and_have_inputs(self):
        run = re.findall(r"add_executable\(corpus_(\w+)", self.built)
        run += re.search(r"foreach\(name ([^)]*)\)\n +add_executable\(corpus_", self.built)[1].split()
        for rule, cells in self.rows.items():
            for target in re.findall(r"`(\w+)`", cells[4]):
                with self.subTest(rule):
                    self.assertTrue((ROOT / f"tests/fuzz_{target}.cpp").exists(), f"there is no target {target}")
                    self.assertTrue(any((ROOT / "tests/corpus" / target).iterdir()), f"{target} has no inputs")
                    self.assertIn(target, run, "its inputs are not run again")
        used = {target for cells in self.rows.values() for target in re.findall(r"`(\w+)`", cells[4])}
        self.assertTrue(used)

    def test_the_page_on_testing_has_each_module_with_its_test_and_proof(self):
        rows = [row for row in table("docs/testing.md", 4) if row[0] != "module of `rtl`" and row[0] != "command"]
        told = {module: (tests, proofs) for modules, tests, proofs, _ in rows for module in re.findall("`([^`]+)`", modules)}
        modules = {file.stem for file in (ROOT / "rtl").glob("*.sv")} - {"offload"}
        self.assertEqual(modules - set(told), set(), "modules that the table leaves out")
        proofs = {row[0] for row in table("docs/proofs.md", 6)}
        for module in modules:
            tests, shown = told[module]
            with self.subTest(module):
                self.assertTrue("the label" in tests or all(name in self.tests for name in re.findall("`([^`]+)`", tests)))
                self.assertEqual([name for name in re.findall("`([^`]+)`", shown) if name not in proofs], [])


if __name__ == "__main__":
    environment.main()
