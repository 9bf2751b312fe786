"""Which of the paths reach a router, and over which of its sessions? One file for each way; choose.py picks."""
