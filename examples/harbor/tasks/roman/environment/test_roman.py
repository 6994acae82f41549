"""The tests that the task shows."""

import unittest

from roman import to_roman


class RomanTest(unittest.TestCase):
    def test_adding(self):
        self.assertEqual(to_roman(1666), "MDCLXVI")

    def test_subtracting(self):
        self.assertEqual(to_roman(1994), "MCMXCIV")


if __name__ == "__main__":
    unittest.main()
