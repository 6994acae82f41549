"""The server as a process: found, started, remembered, stopped. Knows nothing of sessions or turns."""
