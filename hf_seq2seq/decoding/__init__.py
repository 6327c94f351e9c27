"""Text generation from a saved model: loading, search, and streams of input."""
