"""What a run did and where it errs: pictures, and sheets for people who rate its texts."""
