"""What has happened, and since when? A bounded journal on disk of sessions, paths and decisions."""
