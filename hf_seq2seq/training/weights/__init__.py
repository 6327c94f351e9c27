"""How a run's weights are held: in which precision, and spread over which processes."""
