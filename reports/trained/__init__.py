"""Trained models back at work: restored from their weights, asked, and looked into."""
