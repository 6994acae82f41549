#!/bin/bash
# What the oracle runs, to show that the task can be solved.
here="$(cd "$(dirname "$0")" && pwd)"
cp "$here/median.py" "${here%/solution}/app/median.py"
