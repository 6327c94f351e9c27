"""Sharing models: the model card, publishing, downloading, export."""
