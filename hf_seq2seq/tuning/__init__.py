"""A search over settings: trials within a budget, a leaderboard, and the best one trained to its end."""
