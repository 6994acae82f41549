"""The tests that give the reward."""

import unittest

from median import median


class HiddenMedianTest(unittest.TestCase):
    def test_odd_number(self):
        self.assertEqual(median([3]), 3)
        self.assertEqual(median([7, -1, 0, 12, 5]), 5)

    def test_even_number(self):
        self.assertEqual(median([10, 2]), 6)

    def test_the_list_of_the_caller_stays_as_it_was(self):
        numbers = [3, 1, 2]
        median(numbers)
        self.assertEqual(numbers, [3, 1, 2])
