"""What everything runs on: limited child processes, files that appear whole, progress, random numbers."""
