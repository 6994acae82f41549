"""The tests that the task shows."""

import unittest

from median import median


class MedianTest(unittest.TestCase):
    def test_odd_number(self):
        self.assertEqual(median([9, 1, 5]), 5)

    def test_even_number(self):
        self.assertEqual(median([4, 1, 3, 2]), 2.5)


if __name__ == "__main__":
    unittest.main()
