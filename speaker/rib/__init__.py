"""The routes: who has what, may it, and which is better. Pure: no I/O, no clock."""
