"""What the service tells of its decisions. Nothing here decides, and nothing here is waited for."""
