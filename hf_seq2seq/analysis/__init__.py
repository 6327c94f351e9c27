"""Analysis of runs: plots, and sheets for human evaluation of outputs."""
