"""What others see of a model: its card."""
