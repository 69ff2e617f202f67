"""Reinforcement learning: environments and replay buffers."""
