"""What the integration tests stand on: servers, mounts, a proxy, the other client, waiting."""
