"""The running process: its configuration, what it is composed of, how it is served and reloaded."""
