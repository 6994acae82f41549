"""The tests that give the reward."""

import unittest

from slug import slugify


class HiddenSlugTest(unittest.TestCase):
    def test_words(self):
        self.assertEqual(slugify("  Release 2.0: what's new?  "), "release-2-0-what-s-new")

    def test_nothing_to_keep(self):
        self.assertEqual(slugify("!?"), "")
