"""Each adapter turns a caller's form into a call of an action, and its answer back."""
