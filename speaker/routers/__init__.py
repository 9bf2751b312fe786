"""What is typed into a router, what stands in it, and what it shows: text in, values out."""
