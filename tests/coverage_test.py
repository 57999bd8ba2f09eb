#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sums of ./dev coverage: what is counted, waived and refused."""

import collections
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import coverage  # noqa: E402
import environment  # noqa: E402

SOURCE = """int f(int x) {
    if (x)
        throw Error("broken: " +
                    text);
    return x;
}
"""


def files():
    counts = coverage.Counts()
    counts.lines = collections.Counter({2: 3, 3: 0, 4: 0, 5: 3})
    counts.branches = collections.Counter({(2, 0): 0, (2, 1): 3})
    return {"sim/a.cpp": counts}


class Sums(unittest.TestCase):
    def test_what_is_not_reached_lowers_the_figure(self):
        self.assertEqual(coverage.figures_of(files()), {"C++ lines": (2, 4), "C++ branches": (1, 2)})

    def test_signals_of_one_bit_are_control(self):
        counts = coverage.Counts()
        counts.toggles = collections.Counter({(1, "valid"): 1, (2, "word[0]"): 0, (2, "word[1]"): 1, (3, "last"): 0})
        self.assertEqual(coverage.figures_of({"rtl/a.sv": counts}), {"RTL toggles": (2, 4), "RTL control": (1, 2)})

    def test_a_waiver_takes_the_statement_and_no_more(self):
        waived = files()
        self.assertEqual(coverage.waived(waived, "# why\nsim/a.cpp | throw Error | never\n", lambda _: SOURCE), [])
        self.assertEqual(coverage.figures_of(waived), {"C++ lines": (2, 2), "C++ branches": (1, 2)})

    def test_a_waiver_of_what_is_reached_or_not_there_is_reported(self):
        for waiver in ("sim/a.cpp | return x | why", "sim/a.cpp | no such text | why", "sim/b.cpp | throw | why"):
            self.assertEqual(len(coverage.waived(files(), waiver, lambda _: SOURCE)), 1, waiver)

    def test_a_waiver_needs_a_reason(self):
        with self.assertRaises(SystemExit):
            coverage.waived(files(), "sim/a.cpp | throw Error | ", lambda _: SOURCE)

    def test_a_figure_below_its_minimum_is_refused(self):
        self.assertEqual(coverage.too_low({"C++ lines": (949, 1000)}, {"C++ lines": 94.9}), [])
        self.assertEqual(len(coverage.too_low({"C++ lines": (949, 1000)}, {"C++ lines": 95.0})), 1)
        self.assertEqual(coverage.rounded(9999, 10000), 99.9)

    def test_branches_of_calls_that_may_throw_do_not_count(self):
        def branches(*throws):
            return [{"throw": throw, "count": i} for i, throw in enumerate(throws)]
        self.assertEqual(coverage.decisions(branches(False, True)), [])
        self.assertEqual([b["count"] for b in coverage.decisions(branches(False, False, False, True))], [0, 1])


if __name__ == "__main__":
    environment.main()
