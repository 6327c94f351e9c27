"""What a run did and where it errs, as pictures."""
