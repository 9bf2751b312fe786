"""What this host can do beside TCP: addresses, the link, and who answers on it."""
