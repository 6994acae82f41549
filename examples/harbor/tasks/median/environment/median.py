"""The middle of a list of numbers."""


def median(numbers):
    """Return the middle one of the numbers; between two middle ones, their mean."""
    return numbers[len(numbers) // 2]
