"""Providers for vidpoll: one module each, which vidpoll imports when its provider is named. This module is empty."""
