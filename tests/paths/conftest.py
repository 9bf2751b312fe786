"""A profile for those who have changed a path mode and have minutes to spare."""

from hypothesis import settings

settings.register_profile("deep", max_examples=1500)
