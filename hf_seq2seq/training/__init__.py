"""One Accelerate loop for every recipe."""
