#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of limits.py against values that were worked out by hand."""
import unittest

import limits

ADMISSION, LATENCY = 9, 16


def dropped(depth, length, packet_length, outer, out_of, frames):
    return limits.dropped(depth, length, packet_length, outer, out_of, frames, ADMISSION, LATENCY)


class Limits(unittest.TestCase):
    def test_P14_a_copy_is_cut_by_PacketLength_and_by_the_MTU(self):
        for length, packet_length, outer, size in (
                (60, None, "IPv4", 110), (60, None, "IPv6", 130), (60, 15, "IPv4", 65), (60, 8500, "IPv4", 110),
                (9180, None, "IPv4", 9230), (9216, None, "IPv4", 9230), (9160, None, "IPv6", 9230), (9216, None, "IPv6", 9230)):
            self.assertEqual(limits.copy_size(length, packet_length, outer), size, (length, packet_length, outer))

    def test_beats_offered_and_the_cycles_that_their_frame_takes(self):
        for length, packet_length, outer, beats in (
                (60, None, "IPv4", (2, 1)), (60, None, "IPv6", (3, 1)), (60, 14, "IPv4", (1, 1)), (60, 15, "IPv4", (2, 1)),
                (65, None, "IPv4", (2, 2)), (78, None, "IPv4", (2, 2)), (79, None, "IPv4", (3, 2)), (128, None, "IPv6", (4, 2)),
                (9216, 15, "IPv6", (2, 144)), (9216, 8500, "IPv4", (134, 144))):
            self.assertEqual(limits.offered(length, packet_length, outer), beats, (length, packet_length, outer))

    def test_100GbE_carries_93_28_million_copies_of_60_bytes_over_IPv4_and_81_17_over_IPv6(self):
        self.assertAlmostEqual(limits.wire_rate(110), 100e9 / 1072)
        self.assertEqual(round(limits.wire_rate(110) / 1e6, 2), 93.28)
        self.assertEqual(round(limits.wire_rate(130) / 1e6, 2), 81.17)
        self.assertEqual(round(limits.wire_rate(51) / 1e6, 2), 148.81)  # padded to 60 bytes
        self.assertEqual(limits.wire_rate(51), limits.wire_rate(60))

    def test_the_bus_guarantees_89_0_Gbps_at_250_MHz_and_114_7_at_322_27_MHz_and_65_bytes_are_the_worst(self):
        self.assertEqual(limits.guaranteed(250e6, range(51, 9287)), (89.0e9, 65))
        gbps, worst = limits.guaranteed(322.265625e6, range(51, 9287))
        self.assertEqual((round(gbps / 1e9, 1), worst), (114.7, 65))
        self.assertEqual(limits.guaranteed(250e6, range(110, 9287)), (102.0e9, 129))  # whole frames
        self.assertEqual(limits.bus_bits(64), 704)

    def test_P22_a_stalled_output_lets_through_what_the_buffer_and_the_way_out_hold(self):
        # 511 beats in the memory, 2 behind it; and of one-beat copies over IPv4 one (2 output beats) or two (1 each).
        self.assertEqual(limits.stalled_burst(512, 60, "IPv4"), 514)
        self.assertEqual(limits.stalled_burst(512, 14, "IPv4"), 515)
        self.assertEqual(limits.stalled_burst(512, 60, "IPv6"), 514)
        self.assertEqual(limits.stalled_burst(512, 1514, "IPv4"), 21)   # 515 / 24
        self.assertEqual(limits.stalled_burst(256, 9216, "IPv4"), 1)    # 259 / 144
        self.assertEqual(limits.stalled_burst(1024, 9216, "IPv6"), 7)   # 1026 / 144

    def test_P22_the_recurrence_agrees_with_the_formula_of_a_stalled_output(self):
        for depth in (256, 512, 1024):
            for length in (60, 64, 65, 79, 128, 129, 192, 193, 500, 1514, 9216):
                for packet_length in (None, 1, 14, 15, 64, 65):
                    for outer in limits.HEADER:
                        kept = limits.kept_bytes(length, packet_length, outer)
                        burst = limits.stalled_burst(depth, kept, outer)
                        self.assertEqual(dropped(depth, length, packet_length, outer, 0, burst + 3),
                                         [burst, burst + 1, burst + 2], (depth, length, packet_length, outer))

    def test_P22_nothing_is_lost_when_the_output_carries_what_is_offered(self):
        for length, packet_length, outer, out_of in ((60, 14, "IPv4", 1), (65, None, "IPv4", 1), (129, 14, "IPv4", 3),
                                                     (9216, 15, "IPv6", 72), (256, 15, "IPv4", 2)):
            self.assertEqual(dropped(256, length, packet_length, outer, out_of, 3000), [], (length, packet_length, out_of))
        self.assertNotEqual(dropped(256, 9216, 15, "IPv6", 73, 30000), [])

    def test_P22_in_the_long_run_an_overloaded_output_takes_its_share(self):
        # Copies of 2 beats, one a cycle offered, one beat a cycle out: every second frame is lost.
        lost = dropped(512, 60, None, "IPv4", 1, 5000)
        self.assertEqual(len(lost), (5000 - lost[0] + 1) // 2)
        self.assertEqual({b - a for a, b in zip(lost, lost[1:])}, {2})
        # One kept beat in and half a beat out a cycle: a burst of about twice the depth.
        self.assertAlmostEqual(lost[0], 2 * 512, delta=16)


if __name__ == "__main__":
    unittest.main()
