"""From a saved model to text: loading, search, and long streams of input."""
