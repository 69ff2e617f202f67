"""Callbacks that report from the training loops of other libraries; imported by those who use one.

Each needs its library, and saves the library's own checkpoint in `run.checkpoint_dir`.
"""
