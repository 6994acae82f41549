#!/bin/bash
# The verifier. Places are found from $0: it runs in a container (/tests, /app, /logs) and in a folder of this machine alike.
root="$(cd "$(dirname "$0")/.." && pwd)"
root="${root%/}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$root/app"
if python3 -m unittest discover --start-directory "$root/tests" --pattern 'hidden_*.py'; then
  echo 1 > "$root/logs/verifier/reward.txt"
else
  echo 0 > "$root/logs/verifier/reward.txt"
fi
