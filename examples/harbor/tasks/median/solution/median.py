"""The middle of a list of numbers."""


def median(numbers):
    """Return the middle one of the numbers; between two middle ones, their mean."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
