#!/bin/bash
# What the oracle runs, to show that the task can be solved.
here="$(cd "$(dirname "$0")" && pwd)"
cp "$here/slug.py" "${here%/solution}/app/slug.py"
