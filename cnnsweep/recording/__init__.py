"""What a sweep leaves on the disk, and who writes it."""
