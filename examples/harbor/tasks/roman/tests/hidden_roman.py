"""The tests that give the reward."""

import unittest

from roman import to_roman


class HiddenRomanTest(unittest.TestCase):
    def test_numerals(self):
        for number, numeral in {1: "I", 4: "IV", 9: "IX", 44: "XLIV", 400: "CD", 3999: "MMMCMXCIX"}.items():
            with self.subTest(number=number):
                self.assertEqual(to_roman(number), numeral)

    def test_out_of_range(self):
        for number in (0, 4000, -5):
            with self.subTest(number=number), self.assertRaises(ValueError):
                to_roman(number)
