"""What is minimised: each objective gives the sum of a batch's losses and the weight that divides it."""
