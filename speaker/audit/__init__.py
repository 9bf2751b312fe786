"""What should be there, what is there, and why not? Pure: the cluster's word and ours in, findings out.

reasons.py   every reason, and the next step for each
expect.py    which nodes should announce which addresses, by the cluster
compare.py   what is missing, and why
watch.py     since when, and from when on it is worth an alarm
"""
