"""What page, backend and tunnels share: a server in the background, and links."""
